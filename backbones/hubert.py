"""HuBERT (Hsu et al., 2021, arXiv 2106.07447): wav2vec 2.0's network, another pretraining."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from backbones.base import Backbone
from backbones.wav2vec2 import Wav2Vec2


@dataclass(frozen=True, kw_only=True)
class Hubert(Wav2Vec2):
    """Features, settings and network are those of wav2vec 2.0; transformers' classes and names are HuBERT's."""

    label: ClassVar[str] = "HuBERT"
    version: ClassVar[int] = 2
    family: ClassVar[str] = "hubert"
    architecture: ClassVar[str] = "HubertForSequenceClassification"


VARIANTS: dict[str, Callable[..., Backbone]] = {
    "hubert_base": partial(Hubert, checkpoint="facebook/hubert-base-ls960"),
    "hubert_large": partial(Hubert, checkpoint="facebook/hubert-large-ll60k"),
    "hubert_xlarge": partial(Hubert, checkpoint="facebook/hubert-xlarge-ll60k"),
    "hubert_nano": partial(Hubert, checkpoint="packaged:hubert_nano"),
}
