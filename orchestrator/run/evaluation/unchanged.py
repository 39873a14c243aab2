"""Whether a method changed the model that it was given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = 1e-7  # of a tensor's largest magnitude: below the resolution of single precision
SAMPLED = 64  # entries of each tensor that are remembered: enough to see that a trained model moved
AT_ONCE = 2**24  # entries that are compared at a time, so that no second copy of a large tensor is made


@dataclass(frozen=True)
class Before:
    """A few entries of each tensor of a model before it is unlearned."""

    sampled: Mapping[str, Tensor]

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> Before:
        """Remember a model's weights and buffers; a copy of them all would double its memory."""
        return cls({name: _some(value).clone() for name, value in weights.items()})

    def is_still(self, weights: Mapping[str, Tensor], stored: Callable[[], Mapping[str, Tensor]]) -> bool:
        """Whether a model has the weights and buffers that it had, each to within `TOLERANCE`.

        `stored` reads all of them; it is called only when the remembered entries are unchanged.
        """
        if not all(_equal(_some(weights[name]), value) for name, value in self.sampled.items()):
            return False
        return all(_equal(weights[name], value) for name, value in stored().items())


def _some(value: Tensor) -> Tensor:
    flat = value.detach().flatten()
    return flat[:: max(1, len(flat) // SAMPLED)]


def _equal(value: Tensor, before: Tensor) -> bool:
    if not before.is_floating_point():
        return bool(torch.equal(value.cpu(), before.cpu()))
    if not before.numel():
        return True
    allowed = TOLERANCE * float(before.abs().max())
    parts = (torch.split(tensor.detach().flatten(), AT_ONCE) for tensor in (value, before))
    return all(float((now.to(then) - then).abs().max()) <= allowed for now, then in zip(*parts, strict=True))
