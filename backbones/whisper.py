"""Whisper's encoder as a classifier (Radford et al., 2022, arXiv 2212.04356); no decoder is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from backbones.base import SAMPLE_RATE_HZ, Backbone, Frontend, SpeechClassifier
from backbones.checkpoints import load_config, load_model, random_model, weights_id
from backbones.cost import (
    TrainBytes,
    convolutions_bytes,
    convolutions_gflop,
    transformer_bytes,
    transformer_gflop,
    transformer_gflops,
    transformer_shape,
)
from backbones.export import transformers_names, with_classes, write_folder
from backbones.heads import Readout, linear_layers, new_linear
from backbones.mel_spectrogram import HOP_SAMPLES, log_mel, mel_filters, pad_samples

ARCHITECTURE = "WhisperForAudioClassification"
POSITIONS = "encoder.embed_positions.weight"  # sinusoids: transformers computes them where a file leaves them out
POSITION_SAMPLES = 2 * HOP_SAMPLES  # the second convolution halves the frame rate
NAMES = {
    "stem.positions": POSITIONS, "stem.": "encoder.", "layers.": "encoder.layers.",
    "readout.norm.": "encoder.layer_norm.", "readout.projector.": "projector.", "head.": "classifier.",
}  # fmt: skip


class Stem(nn.Module):
    """Log-mel frames to positions: two convolutions and fixed sinusoids, which are a buffer and never trained."""

    positions: Tensor

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.conv1, self.conv2 = encoder.conv1, encoder.conv2
        self.dropout = float(encoder.dropout)
        self.register_buffer("positions", encoder.embed_positions.weight.detach().clone())

    def forward(self, features: Float[Tensor, "batch frames mels"]) -> Float[Tensor, "batch time width"]:
        """Two frames become one position; the first positions of the table are used."""
        frames = functional.gelu(self.conv1(features.transpose(1, 2)))
        frames = functional.gelu(self.conv2(frames)).transpose(1, 2)
        frames = frames + self.positions[: frames.shape[1]]
        return functional.dropout(frames, self.dropout, self.training)


class WhisperClassifier(SpeechClassifier):
    """Encoder, mean over all positions (silence too: Whisper knows no mask), projection, classifier.

    Equals `WhisperForAudioClassification` without its limit to one input length. LayerDrop is off.
    """

    def __init__(self, encoder: Any, projector: nn.Linear, head: nn.Linear) -> None:
        super().__init__()
        self.stem = Stem(encoder)
        self.layers = encoder.layers
        self.readout = Readout(projector, norm=encoder.layer_norm)
        self.head = head
        self.adapter_targets = linear_layers(self, ("layers.", "readout.projector"))

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Convolutions, transformer layers, norm with projection, classifier."""
        return [self.stem, *self.layers, self.readout, self.head]

    def embed(
        self, features: Float[Tensor, "batch frames mels"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch projected"]:
        """`lengths` does not matter."""
        frames = self.stem(features)
        for layer in self.layers:
            frames = layer(frames, None)
        vectors: Tensor = self.readout(frames, None)
        return vectors


@dataclass(frozen=True, kw_only=True)
class Whisper(Backbone):
    """Features are (B, frames, 80) log-mel.

    `clip` cuts input and positions to the clip (1 s: 100 frames, some 45 times cheaper); `full` pads it to the 30 s
    that Whisper was pretrained on, as `WhisperFeatureExtractor` and the literature do.
    """

    label: ClassVar[str] = "Whisper"
    version: ClassVar[int] = 1

    checkpoint: str
    revision: str = "main"  # of the hub repository
    whisper_frames: Literal["clip", "full"] = "clip"

    def __post_init__(self) -> None:
        if self.whisper_frames not in ("clip", "full"):
            raise ValueError(f"unknown whisper_frames: got {self.whisper_frames!r}, allowed: 'clip', 'full'")

    def weights_id(self) -> str:
        """`hub-id@revision`, or a digest of local or packaged files."""
        return weights_id(self.checkpoint, self.revision)

    def train_gflop(self, clip_seconds: float) -> float:
        """The transformer and two convolutions over the clip, or over 30 s."""
        shape = transformer_shape(self.checkpoint)
        frames = (30.0 if self.whisper_frames == "full" else clip_seconds) * SAMPLE_RATE_HZ / HOP_SAMPLES
        convolutions = convolutions_gflop((shape[0], shape[0]), (3, 3), (1, 2), frames, inputs=80)
        return convolutions + transformer_gflop(shape, frames / 2)

    def cpu_gflops(self) -> float:
        """What a transformer of this width reaches."""
        return transformer_gflops(transformer_shape(self.checkpoint))

    def train_bytes(self, clip_seconds: float) -> TrainBytes:
        """The transformer, two convolutions, and positions up to 30 s."""
        shape = transformer_shape(self.checkpoint)
        frames = (30.0 if self.whisper_frames == "full" else clip_seconds) * SAMPLE_RATE_HZ / HOP_SAMPLES
        convolutions = convolutions_bytes((shape[0], shape[0]), (3, 3), (1, 2), frames, inputs=80)
        return transformer_bytes(shape, frames / 2) + convolutions + TrainBytes(4 * 1500 * shape[0], 0.0)

    def unfit(self, shortest: int, samples: int) -> str:
        """A clip longer than its positions."""
        return self._too_long(samples, self._config())

    def _too_long(self, samples: int, config: Any) -> str:
        most = int(config.max_source_positions) * POSITION_SAMPLES
        if samples <= most:
            return ""
        return f"clip too long for {self.checkpoint}: got {samples} samples, allowed: at most {most}"

    def frontend(self, device: torch.device) -> Frontend:
        """Log-mel. `clip` appends silence up to a whole number of positions (20 ms)."""
        config = self._config()
        filters = mel_filters(config.num_mel_bins, device)
        most = config.max_source_positions * POSITION_SAMPLES

        def extract(waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
            samples = waveforms.shape[1]
            if reason := self._too_long(samples, config):
                raise ValueError(reason)
            padded = most if self.whisper_frames == "full" else -(-samples // POSITION_SAMPLES) * POSITION_SAMPLES
            with torch.no_grad():
                features = log_mel(pad_samples(waveforms.to(device), padded), filters)
            return features, -(-lengths.to(device) // HOP_SAMPLES)

        return extract

    def build(self, num_classes: int, *, pretrained: bool = True) -> WhisperClassifier:
        """Everything is trained but the sinusoids."""
        config = self._config()
        projector = new_linear(config.d_model, config.classifier_proj_size, config.init_std)
        head = new_linear(config.classifier_proj_size, num_classes, config.init_std)
        if pretrained:
            model = load_model(ARCHITECTURE, self.checkpoint, self.revision, config, may_lack=(POSITIONS,))
        else:
            model = random_model(ARCHITECTURE, config)
        return WhisperClassifier(model.encoder, projector, head).train()

    def save_pretrained(
        self, model: SpeechClassifier, folder: Path, classes: Sequence[str], *, clip_samples: int
    ) -> None:
        """In `clip` mode the folder takes clips of `clip_samples` only, as transformers fixes Whisper's input length.

        The feature extractor counts whole seconds; for another clip length, call it with `max_length=clip_samples`.
        """
        from transformers import WhisperFeatureExtractor

        config = with_classes(self._config(), classes)
        if self.whisper_frames == "clip":
            config.max_source_positions = -(-clip_samples // POSITION_SAMPLES)
        extractor = WhisperFeatureExtractor(
            feature_size=config.num_mel_bins,
            chunk_length=-(-config.max_source_positions * POSITION_SAMPLES // SAMPLE_RATE_HZ),
        )
        with torch.random.fork_rng(devices=[]):
            exported = random_model(ARCHITECTURE, config)
        weights = transformers_names(model.state_dict(), NAMES)
        weights[POSITIONS] = weights[POSITIONS][: config.max_source_positions]
        write_folder(exported, extractor, weights, folder)

    def _config(self) -> Any:
        config = load_config(self.checkpoint, self.revision, "whisper")
        config.encoder_layerdrop = 0.0
        config.use_weighted_layer_sum = False
        return config


VARIANTS: dict[str, Callable[..., Backbone]] = {
    "whisper_tiny": partial(Whisper, checkpoint="openai/whisper-tiny"),
    "whisper_base": partial(Whisper, checkpoint="openai/whisper-base"),
    "whisper_nano": partial(Whisper, checkpoint="packaged:whisper_nano"),
}
