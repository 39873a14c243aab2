"""What a training step costs in time and memory, estimated from widths and depths: nothing is loaded or fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backbones.checkpoints import settings_at_hand

# Hidden width, layers, inner width of the checkpoints that variants name; they may not be on this machine.
PUBLISHED = {
    "openai/whisper-tiny": (384, 4, 1536),
    "openai/whisper-tiny.en": (384, 4, 1536),
    "openai/whisper-base": (512, 6, 2048),
    "facebook/wav2vec2-base": (768, 12, 3072),
    "facebook/wav2vec2-large": (1024, 24, 4096),
    "facebook/hubert-base-ls960": (768, 12, 3072),
    "facebook/hubert-large-ll60k": (1024, 24, 4096),
    "facebook/hubert-xlarge-ll60k": (1280, 48, 5120),
}
ELSE = (768, 12, 3072)  # hub ids that are neither published above nor available
TRAINED = 3  # a step costs a forward pass and twice that to go back
GFLOP = 1e-9
FLOAT_BYTES = 4
HEAD_WIDTH = 64  # of one attention head
PEAK_GFLOPS = 80.0  # of one CPU core: float32 products of large matrices; measured, docs/results/bench.md
HALF_PEAK_WIDTH = 96  # of a transformer whose small matrices reach half of the peak; measured


@dataclass(frozen=True)
class TrainBytes:
    """What one training step holds of a model, in float32: an estimate."""

    weights: float  # bytes of all parameters, once
    activations: float  # bytes that one clip keeps for the way back

    def __add__(self, other: TrainBytes) -> TrainBytes:
        return TrainBytes(self.weights + other.weights, self.activations + other.activations)


def transformer_shape(checkpoint: str) -> tuple[int, int, int]:
    """Hidden width, number of layers, inner width of a checkpoint's encoder."""
    settings = settings_at_hand(checkpoint)
    if settings is None:
        return PUBLISHED.get(checkpoint, ELSE)
    if settings["model_type"] == "whisper":  # what a config.json leaves out is as in whisper-tiny
        keys: Mapping[str, int] = {"d_model": 384, "encoder_layers": 4, "encoder_ffn_dim": 1536}
    else:
        keys = {"hidden_size": 768, "num_hidden_layers": 12, "intermediate_size": 3072}
    width, layers, inner = (int(settings.get(key, default)) for key, default in keys.items())
    return width, layers, inner


def transformer_gflops(shape: tuple[int, int, int]) -> float:
    """Billions of operations per second that one CPU core does in a training step: wider matrices are faster."""
    width = shape[0]
    return PEAK_GFLOPS * width / (width + HALF_PEAK_WIDTH)


def transformer_gflop(shape: tuple[int, int, int], positions: float) -> float:
    """One training step of one clip: projections, feed-forward and attention."""
    width, layers, inner = shape
    matrices = 4 * width * width + 2 * width * inner
    return TRAINED * layers * (2 * matrices * positions + 4 * width * positions**2) * GFLOP


def transformer_bytes(shape: tuple[int, int, int], positions: float) -> TrainBytes:
    """Weights; and of each position what norms, projections, feed-forward and attention weights keep."""
    width, layers, inner = shape
    matrices = 4 * width * width + 2 * width * inner
    a_position = 10 * width + 2.5 * inner + 2 * max(1, width // HEAD_WIDTH) * positions
    return TrainBytes(FLOAT_BYTES * layers * matrices, FLOAT_BYTES * layers * positions * a_position)


def convolutions_bytes(
    channels: Sequence[int], kernels: Sequence[int], strides: Sequence[int], steps: float, inputs: int
) -> TrainBytes:
    """As `convolutions_gflop`: each keeps its output, normalized and after its activation."""
    weights = activations = 0.0
    for outputs, kernel, stride in zip(channels, kernels, strides, strict=True):
        steps /= stride
        weights += kernel * inputs * outputs
        activations += 3 * outputs * steps
        inputs = outputs
    return TrainBytes(FLOAT_BYTES * weights, FLOAT_BYTES * activations)


def convolutions_gflop(
    channels: Sequence[int], kernels: Sequence[int], strides: Sequence[int], steps: float, inputs: int
) -> float:
    """One training step of one clip through convolutions that start at `inputs` channels and `steps` points in time."""
    total = 0.0
    for outputs, kernel, stride in zip(channels, kernels, strides, strict=True):
        steps /= stride
        total += 2 * kernel * inputs * outputs * steps
        inputs = outputs
    return TRAINED * total * GFLOP


def feature_encoder_gflop(checkpoint: str, clip_seconds: float, sample_rate_hz: int) -> float:
    """One training step of one clip through the convolutions of wav2vec 2.0 and HuBERT."""
    return convolutions_gflop(*_feature_encoder(checkpoint), clip_seconds * sample_rate_hz, inputs=1)


def feature_encoder_bytes(checkpoint: str, clip_seconds: float, sample_rate_hz: int) -> TrainBytes:
    """Their memory where they are trained."""
    return convolutions_bytes(*_feature_encoder(checkpoint), clip_seconds * sample_rate_hz, inputs=1)


def _feature_encoder(checkpoint: str) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """Channels, kernels and strides."""
    settings: Mapping[str, Any] = settings_at_hand(checkpoint) or {}
    return (
        settings.get("conv_dim", (512,) * 7), settings.get("conv_kernel", (10, 3, 3, 3, 3, 2, 2)),
        settings.get("conv_stride", (5, 2, 2, 2, 2, 2, 2)),
    )  # fmt: skip
