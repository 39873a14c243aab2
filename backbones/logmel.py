"""Two small networks on log-mel frames, trained from scratch: convolutions, and recurrence."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from backbones.base import Backbone, Frontend, SpeechClassifier
from backbones.cost import TrainBytes
from backbones.heads import linear_layers, masked_mean, new_linear, valid_frames
from backbones.mel_spectrogram import HOP_SAMPLES, log_mel, mel_filters, pad_samples

NUM_MELS = 40
STACKED = 2  # frames side by side: 20 ms steps, as the transformers have


def stacked(
    features: Float[Tensor, "batch frames mels"], lengths: Int[Tensor, " batch"]
) -> tuple[Float[Tensor, "batch time stacked"], Int[Tensor, " batch"]]:
    """Pairs of frames side by side, and lengths in pairs, rounded up."""
    batch, frames, mels = features.shape
    return features.reshape(batch, frames // STACKED, STACKED * mels), -(-lengths // STACKED)


def centered(
    features: Float[Tensor, "batch frames mels"], lengths: Int[Tensor, " batch"]
) -> Float[Tensor, "batch frames mels"]:
    """Each band with mean 0 over the utterance, the utterance with variance 1, padding 0.

    Without it a network as small as these hardly starts to learn: log-mel bands are all positive and far apart.
    """
    valid = valid_frames(lengths, features.shape[1])
    shifted = (features - masked_mean(features, valid)[:, None, :]) * valid[..., None]
    variance = (shifted**2).sum(dim=(1, 2)) / (lengths * features.shape[2])
    return shifted / torch.sqrt(variance + 1e-5)[:, None, None]


class ConvolutionBlock(nn.Module):
    """A dilated convolution over time and a linear shortcut, as in temporal convolutional networks (arXiv 1803.01271).

    Differs: it looks both ways, has one convolution a block and no normalization (batch norm would mix neighbors).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, outputs, kernel, padding="same", dilation=dilation)
        self.shortcut = nn.Linear(inputs, outputs)

    def forward(
        self, frames: Float[Tensor, "batch time inputs"], valid: Float[Tensor, "batch time 1"]
    ) -> Float[Tensor, "batch time outputs"]:
        """Padding is set to 0 before the convolution, so it never leaks into the utterance."""
        convolved: Tensor = self.convolution((frames * valid).transpose(1, 2)).transpose(1, 2)
        shortcut: Tensor = self.shortcut(frames)
        return functional.relu(convolved) + shortcut


class LoudestReadout(nn.Module):
    """Frames to one vector: each channel's maximum, projected. A short word then weighs as much as a long one."""

    def __init__(self, projector: nn.Linear) -> None:
        super().__init__()
        self.projector = projector

    def forward(
        self, frames: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch projected"]:
        """A row needs one valid frame."""
        return functional.relu(self.projector(frames.masked_fill(~valid[..., None], -torch.inf).amax(dim=1)))


class LogMelCnnClassifier(SpeechClassifier):
    """Dilated convolutions over time, maximum, projection, classifier."""

    masks_padding = True

    def __init__(self, widths: Sequence[int], projector: nn.Linear, head: nn.Linear) -> None:
        super().__init__()
        inputs = [STACKED * NUM_MELS, *widths[:-1]]
        self.layers = nn.ModuleList(
            ConvolutionBlock(before, after, kernel=5, dilation=2**number)
            for number, (before, after) in enumerate(zip(inputs, widths, strict=True))
        )
        self.readout = LoudestReadout(projector)
        self.head = head
        self.adapter_targets = linear_layers(self, ("layers.", "readout.projector"))

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Convolutions, projection, classifier."""
        return [*self.layers, self.readout, self.head]

    def embed(
        self, features: Float[Tensor, "batch frames mels"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch projected"]:
        """Maximum over the valid frames of the last convolution, projected."""
        frames, lengths = stacked(features, lengths)
        valid = valid_frames(lengths, frames.shape[1])
        for layer in self.layers:
            frames = layer(frames, valid[..., None].to(frames.dtype))
        vectors: Tensor = self.readout(frames, valid)
        return vectors


class LogMelGruClassifier(SpeechClassifier):
    """Two recurrent layers from past to future, maximum, projection, classifier."""

    masks_padding = True

    def __init__(self, width: int, projector: nn.Linear, head: nn.Linear) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.GRU(size, width, batch_first=True) for size in (STACKED * NUM_MELS, width))
        self.readout = LoudestReadout(projector)
        self.head = head
        self.adapter_targets = linear_layers(self, ("readout.projector",))

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Recurrent layers, projection, classifier."""
        return [*self.layers, self.readout, self.head]

    def embed(
        self, features: Float[Tensor, "batch frames mels"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch projected"]:
        """Maximum over the valid states of the last layer, projected."""
        frames, lengths = stacked(features, lengths)
        differentiated = torch.is_grad_enabled() and not self.training  # where cuDNN has no backward for recurrence
        with torch.backends.cudnn.flags(enabled=False) if differentiated else nullcontext():
            for layer in self.layers:
                frames, _ = layer(frames)
        vectors: Tensor = self.readout(frames, valid_frames(lengths, frames.shape[1]))
        return vectors


@dataclass(frozen=True, kw_only=True)
class LogMelBackbone(Backbone):
    """What the two share: features (B, frames, 40), no pretrained weights."""

    measured_gflops: ClassVar[float]  # billions of operations per second of one CPU core

    projection: int = 128  # width of what the head reads

    def weights_id(self) -> str:
        """There are none."""
        return "none"

    def train_gflop(self, clip_seconds: float) -> float:
        """A quarter of a million weights, used once a step of 20 ms, forward and twice back."""
        return 3 * 2 * 250_000 * clip_seconds * 50 * 1e-9

    def cpu_gflops(self) -> float:
        """Measured, docs/results/bench.md: small convolutions, and recurrence that is one step after the other."""
        return self.measured_gflops

    def train_bytes(self, clip_seconds: float) -> TrainBytes:
        """A quarter of a million weights; 2,000 numbers a step of 20 ms."""
        return TrainBytes(4 * 250_000, 4 * 2_000 * clip_seconds * 50)

    def frontend(self, device: torch.device) -> Frontend:
        """Centered log-mel; silence is appended up to a whole number of 20-ms steps."""
        filters = mel_filters(NUM_MELS, device)
        step = STACKED * HOP_SAMPLES

        def extract(waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
            padded = -(-waveforms.shape[1] // step) * step
            with torch.no_grad():
                frames = -(-lengths.to(device) // HOP_SAMPLES)
                features = centered(log_mel(pad_samples(waveforms.to(device), padded), filters), frames)
            return features, frames

        return extract

    def save_pretrained(
        self, model: SpeechClassifier, folder: Path, classes: Sequence[str], *, clip_samples: int
    ) -> None:
        """Write model.safetensors and config.json, from which the class can be built again."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "backbone": type(self).__name__, "settings": asdict(self), "classes": list(classes),
            "clip_samples": clip_samples,
        }  # fmt: skip
        (folder / "config.json").write_text(json.dumps(config, indent=1))
        weights = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    def build(self, num_classes: int, *, pretrained: bool = True) -> SpeechClassifier:
        """All random; `pretrained` makes no difference."""
        head = new_linear(self.projection, num_classes)
        return self._network(head).train()

    @abstractmethod
    def _network(self, head: nn.Linear) -> SpeechClassifier: ...


@dataclass(frozen=True, kw_only=True)
class LogMelCnn(LogMelBackbone):
    """Dilated convolutions; 0.24 M parameters."""

    label: ClassVar[str] = "log-mel CNN"
    version: ClassVar[int] = 1
    measured_gflops: ClassVar[float] = 38.0

    widths: Sequence[int] = (96, 96, 96, 96)  # channels of each convolution

    def _network(self, head: nn.Linear) -> SpeechClassifier:
        return LogMelCnnClassifier(self.widths, nn.Linear(self.widths[-1], self.projection), head)


@dataclass(frozen=True, kw_only=True)
class LogMelGru(LogMelBackbone):
    """Gated recurrent units (Cho et al., 2014, arXiv 1406.1078); 0.2 M parameters."""

    label: ClassVar[str] = "log-mel GRU"
    version: ClassVar[int] = 1
    measured_gflops: ClassVar[float] = 32.0

    width: int = 128  # of a recurrent layer

    def _network(self, head: nn.Linear) -> SpeechClassifier:
        return LogMelGruClassifier(self.width, nn.Linear(self.width, self.projection), head)


VARIANTS: dict[str, Callable[..., Backbone]] = {"logmel_cnn": LogMelCnn, "logmel_gru": LogMelGru}
