"""Whisper with its own decoder and tokenizer as a recognizer (Radford et al., 2022, arXiv 2212.04356)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch

from backbones.base import Backbone, SpeechClassifier
from backbones.checkpoints import PACKAGED, load_model, random_model, settings_at_hand
from backbones.cost import FLOAT_BYTES, GFLOP, TRAINED, TrainBytes, transformer_shape
from backbones.export import transformers_names, write_folder
from backbones.whisper import ARCHITECTURE as ENCODER_ONLY
from backbones.whisper import POSITION_SAMPLES, Whisper
from backbones.whisper import POSITIONS as ENCODER_POSITIONS
from backbones.whisper_recognizer import WhisperRecognizer
from backbones.whisper_text import CHARACTERS, Spelling, character_spelling, checkpoint_spelling, generation_settings

ARCHITECTURE = "WhisperForConditionalGeneration"
POSITIONS = f"model.{ENCODER_POSITIONS}"
TABLE = "model.decoder.embed_tokens.weight"
NAMES = {
    "stem.positions": POSITIONS, "stem.": "model.encoder.", "layers.": "model.encoder.layers.",
    "norm.": "model.encoder.layer_norm.", "decoder.": "model.decoder.", "head.weight": TABLE,
}  # fmt: skip
NEW_DECODER: Mapping[str, Any] = {  # of a checkpoint in this package, which has an encoder only
    "decoder_layers": 2, "decoder_ffn_dim": 192, "vocab_size": 2 + len(CHARACTERS), "max_target_positions": 448,
    "decoder_start_token_id": 1, "bos_token_id": 1, "eos_token_id": 0, "pad_token_id": 0,
    "suppress_tokens": None, "begin_suppress_tokens": None,
}  # fmt: skip
PUBLISHED_VOCABULARY = 51_864
TOKENS_A_SECOND = {True: 15.0, False: 4.0}  # of speech, for estimates: characters, and Whisper's own tokens


@dataclass(frozen=True, kw_only=True)
class WhisperSeq2Seq(Whisper):
    """Features are (B, frames, 80) log-mel, as Whisper's encoder has them; the decoder is trained too.

    A checkpoint in this package has no decoder: its own is new, small, and spells in characters.
    """

    label: ClassVar[str] = "Whisper seq2seq"
    version: ClassVar[int] = 1
    target: ClassVar[str] = "transcripts"

    language: str = "en"  # of the transcripts, for checkpoints that know several

    @property
    def spells_characters(self) -> bool:
        """Whether the decoder is new."""
        return self.checkpoint.startswith(PACKAGED)

    @property
    def largest_wer(self) -> float:
        """A published decoder transcribes before it is fine-tuned; a new one learns from the corpus alone."""
        return super().largest_wer if self.spells_characters else 0.10

    def spelling(self) -> Spelling:
        """Return how transcripts become tokens; reads the tokenizer, not the weights."""
        if self.spells_characters:
            return character_spelling()
        return checkpoint_spelling(self.checkpoint, self.revision, self.language)

    def train_gflop(self, clip_seconds: float) -> float:
        """The encoder; of each token the decoder's matrices and the table; keys and values of each position."""
        width, layers, inner, vocabulary = self._decoder_shape()
        tokens, positions = self._steps(clip_seconds)
        a_token = layers * (6 * width * width + 2 * width * inner) + width * vocabulary
        attention = layers * width * tokens * (positions + tokens)
        operations = 2 * (tokens * a_token + layers * 2 * width * width * positions) + 4 * attention
        return super().train_gflop(clip_seconds) + TRAINED * operations * GFLOP

    def train_bytes(self, clip_seconds: float) -> TrainBytes:
        """The encoder; the decoder and its table; of each token logits, their log-softmax and their gradient."""
        width, layers, inner, vocabulary = self._decoder_shape()
        tokens, positions = self._steps(clip_seconds)
        weights = layers * (8 * width * width + 2 * width * inner) + width * (vocabulary + 448)
        kept = tokens * (layers * (18 * width + 2.5 * inner) + 3 * vocabulary) + layers * 2 * width * positions
        return super().train_bytes(clip_seconds) + TrainBytes(FLOAT_BYTES * weights, FLOAT_BYTES * kept)

    def _steps(self, clip_seconds: float) -> tuple[float, float]:
        """Tokens and encoder positions of a clip."""
        heard = 30.0 if self.whisper_frames == "full" else clip_seconds
        return 2 + TOKENS_A_SECOND[self.spells_characters] * clip_seconds, heard * 50

    def _decoder_shape(self) -> tuple[int, int, int, int]:
        """Width, layers, inner width, vocabulary; a published checkpoint's decoder is as deep as its encoder."""
        width, layers, inner = transformer_shape(self.checkpoint)
        at_hand: Mapping[str, Any] = settings_at_hand(self.checkpoint, self.revision) or {}
        settings = NEW_DECODER if self.spells_characters else at_hand
        return (
            width,
            int(settings.get("decoder_layers", layers)),
            int(settings.get("decoder_ffn_dim", inner)),
            int(settings.get("vocab_size", PUBLISHED_VOCABULARY)),
        )

    def build(self, num_classes: int = 0, *, pretrained: bool = True) -> WhisperRecognizer:  # type: ignore[override]
        """Everything is trained but the sinusoids. `num_classes` does not matter.

        A new decoder is drawn from torch's global generator, and is the same whether the encoder is pretrained or not.

        Raises:
            ValueError: the checkpoint has an encoder only.
        """
        config, spelling = self._config(), self.spelling()
        if self.spells_characters or not pretrained:
            network = random_model(ARCHITECTURE, config)
        else:
            network = load_model(
                ARCHITECTURE, self.checkpoint, self.revision, config, may_lack=(POSITIONS, "proj_out.")
            )
        if self.spells_characters and pretrained:
            encoder_only = load_model(
                ENCODER_ONLY, self.checkpoint, self.revision, super()._config(), may_lack=(ENCODER_POSITIONS,)
            )
            network.model.encoder = encoder_only.encoder
        return WhisperRecognizer(network, spelling).train()

    def save_pretrained(  # type: ignore[override]
        self, model: SpeechClassifier, folder: Path, classes: Sequence[str] = (), *, clip_samples: int
    ) -> None:
        """Write a folder that `WhisperForConditionalGeneration` and `AutoTokenizer` load; `classes` do not matter.

        In `clip` mode it takes clips of `clip_samples` only, as transformers fixes Whisper's input length: call the
        feature extractor with `max_length=clip_samples` where these are no whole seconds.
        """
        from transformers import WhisperFeatureExtractor

        config, spelling = self._config(), self.spelling()
        if self.whisper_frames == "clip":
            config.max_source_positions = -(-clip_samples // POSITION_SAMPLES)
        extractor = WhisperFeatureExtractor(
            feature_size=config.num_mel_bins,
            chunk_length=-(-config.max_source_positions * POSITION_SAMPLES // 16_000),
        )
        with torch.random.fork_rng(devices=[]):
            exported = random_model(ARCHITECTURE, config)
        exported.generation_config = generation_settings(spelling, config)
        weights = transformers_names(model.state_dict(), NAMES)
        weights[POSITIONS] = weights[POSITIONS][: config.max_source_positions]
        write_folder(exported, extractor, weights, folder)
        spelling.tokenizer.save_pretrained(folder)

    def _config(self) -> Any:
        config = super()._config()
        config.decoder_layerdrop = 0.0
        if self.spells_characters:
            config.update(NEW_DECODER)
        return config


VARIANTS: dict[str, Callable[..., Backbone]] = {
    "whisper_tiny_en": partial(WhisperSeq2Seq, checkpoint="openai/whisper-tiny.en"),
    "whisper_seq2seq_nano": partial(WhisperSeq2Seq, checkpoint="packaged:whisper_nano"),
}
