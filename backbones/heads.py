"""From frames to logits: mean over time, projection, classifier, as in SUPERB (Yang et al., 2021, arXiv 2105.01051)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


def valid_frames(lengths: Int[Tensor, " batch"], frames: int) -> Bool[Tensor, "batch time"]:
    """True where a frame belongs to the utterance, false where it is padding."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def masked_mean(
    frames: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None
) -> Float[Tensor, "batch width"]:
    """Mean over time: over the valid frames, or over all of them where `valid` is None. A row needs one valid frame."""
    if valid is None:
        return frames.mean(dim=1)
    weights = valid[..., None].to(frames.dtype)
    return (frames * weights).sum(dim=1) / weights.sum(dim=1)


def new_linear(inputs: int, outputs: int, std: float = 0.02) -> nn.Linear:
    """A layer as transformers starts it: weights normal with `std`, from torch's global generator, and no bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=std)
    nn.init.zeros_(layer.bias)
    return layer


class Readout(nn.Module):
    """Frames to one vector an utterance: norm, mean over time, projection.

    SUPERB projects each frame, then takes the mean. Both are linear, so the order is free; the mean first is cheaper.
    There is no learned sum over the layers: the encoder is trained, and its last layer is read.
    """

    def __init__(self, projector: nn.Linear, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.norm = nn.Identity() if norm is None else norm
        self.projector = projector

    def forward(
        self, frames: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None
    ) -> Float[Tensor, "batch projected"]:
        """`valid` is None where every frame counts."""
        projected: Tensor = self.projector(masked_mean(self.norm(frames), valid))
        return projected


def linear_layers(model: nn.Module, within: tuple[str, ...]) -> tuple[str, ...]:
    """Full names of the linear layers of `model` below any of the prefixes `within`, in order."""
    return tuple(
        name for name, module in model.named_modules() if isinstance(module, nn.Linear) and name.startswith(within)
    )
