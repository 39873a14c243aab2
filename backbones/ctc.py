"""CTC (Graves et al., ICML 2006): wav2vec 2.0 and HuBERT as recognizers of characters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from backbones.base import Backbone, SpeechClassifier
from backbones.checkpoints import PACKAGED, packaged_weights, random_model
from backbones.ctc_recognizer import CtcRecognizer
from backbones.ctc_text import BLANK, CHARACTERS, SPACE, character_tokens, fewest_steps
from backbones.export import transformers_names, write_folder
from backbones.heads import new_linear
from backbones.wav2vec2 import Wav2Vec2
from backbones.waveform_encoder import num_frames


@dataclass(frozen=True, kw_only=True)
class Wav2Vec2Ctc(Wav2Vec2):
    """Features and encoder are those of wav2vec 2.0; a head answers each 20 ms with a character or the blank.

    The head is new, unless the checkpoint is a recognizer of this package.
    """

    label: ClassVar[str] = "wav2vec 2.0 CTC"
    version: ClassVar[int] = 1
    target: ClassVar[str] = "transcripts"
    recognizer: ClassVar[str] = "Wav2Vec2ForCTC"

    def unspeakable(self, lengths: Int[Tensor, " n"], texts: Sequence[str]) -> Bool[Tensor, " n"]:
        """Those with fewer steps than characters, and blanks between equal ones.

        Raises:
            ValueError: a transcript is empty or has a character without a token.
        """
        return num_frames(lengths, self._config()) < fewest_steps(character_tokens(texts))

    def build(self, num_classes: int = 0, *, pretrained: bool = True) -> CtcRecognizer:  # type: ignore[override]
        """The transformer and, where `freeze_feature_encoder` is off, the convolutions; `num_classes` has no effect.

        Raises:
            ValueError: `spec_augment` with a checkpoint that has no mask embedding.
        """
        config = self._config()
        head = new_linear(config.hidden_size, len(CHARACTERS), config.initializer_range)
        if pretrained:
            self._load_head(head)
        base = self._encoder(config, pretrained=pretrained)
        return CtcRecognizer(
            base, head, train_feature_encoder=not self.freeze_feature_encoder, spec_augment=self.spec_augment
        ).train()

    def save_pretrained(  # type: ignore[override]
        self, model: SpeechClassifier, folder: Path, classes: Sequence[str] = (), *, clip_samples: int
    ) -> None:
        """Write a folder that transformers' class for CTC and its processor load; `classes` do not matter."""
        from transformers import Wav2Vec2FeatureExtractor

        config = self._config()
        config.vocab_size, config.pad_token_id = len(CHARACTERS), BLANK
        extractor = Wav2Vec2FeatureExtractor(
            do_normalize=True, return_attention_mask=config.feat_extract_norm == "layer"
        )
        with torch.random.fork_rng(devices=[]):
            exported = random_model(self.recognizer, config)
        getattr(exported, self.family).load_state_dict(self._encoder(config, pretrained=True).state_dict())
        write_folder(exported, extractor, transformers_names(model.state_dict(), self._names()), folder)
        _write_tokenizer(folder)

    def _load_head(self, head: nn.Linear) -> None:
        """Give the head the packaged weights, where the package has a head for these characters."""
        if not self.checkpoint.startswith(PACKAGED):
            return
        weights = packaged_weights(self.checkpoint)
        with torch.no_grad():
            for name, weight in head.named_parameters():
                if f"lm_head.{name}" in weights:
                    weight.copy_(weights[f"lm_head.{name}"])

    def _names(self) -> dict[str, str]:
        kept = {ours: theirs for ours, theirs in super()._names().items() if not ours.startswith(("readout.", "head."))}
        return {**kept, "norm.": f"{self.family}.encoder.layer_norm.", "head.": "lm_head."}


@dataclass(frozen=True, kw_only=True)
class HubertCtc(Wav2Vec2Ctc):
    """The same with HuBERT's encoder."""

    label: ClassVar[str] = "HuBERT CTC"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "hubert"
    architecture: ClassVar[str] = "HubertForSequenceClassification"
    recognizer: ClassVar[str] = "HubertForCTC"


def vocabulary() -> dict[str, int]:
    """Return the tokens by name, as transformers' tokenizer has them."""
    names: list[Any] = ["<pad>", *CHARACTERS[1:]]
    names[SPACE] = "|"
    return {name: number for number, name in enumerate([*names, "<unk>"])}


def _write_tokenizer(folder: Path) -> None:
    import json

    from transformers import Wav2Vec2CTCTokenizer

    file = folder / "vocab.json"
    file.write_text(json.dumps(vocabulary()))
    Wav2Vec2CTCTokenizer(str(file), bos_token=None, eos_token=None).save_pretrained(folder)


VARIANTS: dict[str, Callable[..., Backbone]] = {
    "wav2vec2_base_ctc": partial(Wav2Vec2Ctc, checkpoint="facebook/wav2vec2-base"),
    "wav2vec2_nano_ctc": partial(Wav2Vec2Ctc, checkpoint="packaged:wav2vec2_nano_ctc"),
    "hubert_base_ctc": partial(HubertCtc, checkpoint="facebook/hubert-base-ls960"),
    "hubert_nano_ctc": partial(HubertCtc, checkpoint="packaged:hubert_nano"),
}
