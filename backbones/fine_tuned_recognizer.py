"""Anybody's fine-tuned Hugging Face recognizer: a local folder becomes a recognizer, and a folder again.

Whisper with its own decoder, and CTC heads on wav2vec 2.0 and HuBERT with the characters of this package, as the
backbones here write them. Whisper reads clips as long as the recordings, or as its folder fixes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int
from torch import Tensor

from backbones.base import Backbone, Frontend, SpeechClassifier
from backbones.checkpoints import quiet_loading
from backbones.ctc import HubertCtc, Wav2Vec2Ctc, vocabulary
from backbones.ctc_text import character_tokens
from backbones.export import transformers_names
from backbones.fine_tuned import require_another, require_weights, write_again
from backbones.whisper import POSITION_SAMPLES
from backbones.whisper_seq2seq import NAMES, WhisperSeq2Seq

RECOGNIZERS: Mapping[str, Callable[..., Backbone]] = {
    "WhisperForConditionalGeneration": WhisperSeq2Seq,
    "Wav2Vec2ForCTC": Wav2Vec2Ctc,
    "HubertForCTC": HubertCtc,
}
"""Classes of transformers that are loaded, and the backbones that do it."""
WHOLE_SAMPLES = 480_000  # of Whisper's own input


@dataclass(frozen=True)
class FineTunedRecognizer:
    """An open folder of a recognizer, with the interface of `fine_tuned.FineTuned`."""

    folder: Path
    config: Any
    backbone: Backbone
    target: ClassVar[str] = "transcripts"
    classes: ClassVar[tuple[str, ...]] = ("",)  # of a manifest with transcripts: none

    @property
    def architecture(self) -> str:
        """The class of transformers."""
        return str(self.config.architectures[0])

    @property
    def is_whisper(self) -> bool:
        """Whether it has a decoder."""
        return isinstance(self.backbone, WhisperSeq2Seq)

    @property
    def fixed_samples(self) -> int | None:
        """Samples of every clip where the folder fixes them below Whisper's 30 s; else None."""
        if not self.is_whisper:
            return None
        samples = POSITION_SAMPLES * int(self.config.max_source_positions)
        return samples if samples < WHOLE_SAMPLES else None

    def load(self, weights: Path | None = None) -> SpeechClassifier:
        """Return the recognizer in float32 on the CPU, in eval mode.

        Args:
            weights: another folder, such as the pretrained one; a CTC head is new if it has none.

        Raises:
            ValueError: weights or the tokenizer are missing, or characters are others than those of this package.
        """
        opened = self if weights is None else open_recognizer(weights, type(self.backbone))
        try:
            model = opened.backbone.build(0)
        except FileNotFoundError as error:
            raise ValueError(str(error)) from None
        if isinstance(opened.backbone, Wav2Vec2Ctc) and opened.architecture == opened.backbone.recognizer:
            model.head.load_state_dict(opened._network().lm_head.state_dict())
        return model.eval()

    def tokens(self, texts: Sequence[str]) -> Int[Tensor, "n longest"]:
        """Return normalized transcripts as targets.

        Raises:
            ValueError: a transcript cannot be spelled.
        """
        if isinstance(self.backbone, WhisperSeq2Seq):
            return self.backbone.spelling().tokens(texts)
        return character_tokens(texts)

    def features(self, clips: Sequence[npt.NDArray[np.int16]], samples: int) -> tuple[Tensor, Tensor]:
        """Return features (B, T, width) and lengths (B,) of 16 kHz clips, each cut to `samples` and padded to it."""
        padded, cut = torch.zeros(len(clips), samples), [clip[:samples].astype(np.float32) / 32768.0 for clip in clips]
        for row, clip in enumerate(cut):
            padded[row, : len(clip)] = torch.from_numpy(clip)
        return self._frontend(padded, torch.tensor([len(clip) for clip in cut]))

    @cached_property
    def _frontend(self) -> Frontend:
        return self.backbone.frontend(torch.device("cpu"))

    def save(self, model: SpeechClassifier, folder: Path) -> None:
        """Write the folder again with other weights: settings, tokenizer and dtype are unchanged.

        Raises:
            ValueError: it is this folder, which is never changed.
        """
        require_another(folder, self.folder)
        names = self.backbone._names() if isinstance(self.backbone, Wav2Vec2Ctc) else NAMES
        weights = transformers_names(model.state_dict(), names)
        write_again(self._network(), weights, self.config, self.folder, folder)

    def _network(self) -> Any:
        import transformers

        with quiet_loading():
            return getattr(transformers, self.architecture).from_pretrained(
                str(self.folder), dtype=torch.float32, use_safetensors=True
            )


def open_recognizer(folder: Path, kind: Callable[..., Backbone] | None = None) -> FineTunedRecognizer:
    """Open a folder that `save_pretrained` wrote for recognition; its weights are not read yet.

    Args:
        folder: with config.json, weights, and the tokenizer of a CTC head or a decoder.
        kind: the backbone to open it with, where the folder may hold an encoder only.

    Raises:
        ValueError: it is no folder, is incomplete, or its CTC head has other characters than those of this package.
    """
    import transformers

    require_weights(folder)
    config = transformers.AutoConfig.from_pretrained(str(folder))
    architecture = str((config.architectures or ["none"])[0])
    backbone = (RECOGNIZERS[architecture] if kind is None else kind)(checkpoint=str(folder))
    if isinstance(backbone, Wav2Vec2Ctc) and architecture == backbone.recognizer:
        _require_characters(folder, config)
    return FineTunedRecognizer(folder, config, backbone)


def _require_characters(folder: Path, config: Any) -> None:
    import json

    try:
        found = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    wanted = vocabulary()
    if found != wanted or int(config.vocab_size) > len(wanted):
        raise ValueError(
            f"{folder} has a CTC head with other characters than those of this package (vocab.json: a blank, a space, "
            "an apostrophe and a to z). Fine-tune it with a backbone such as wav2vec2_base_ctc, whose folder has them"
        )
