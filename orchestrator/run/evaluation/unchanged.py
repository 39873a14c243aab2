"""Whether a method changed its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = 1e-7  # of a tensor's largest magnitude: below the resolution of single precision
SAMPLED = 64  # entries of each tensor that are kept: enough to detect that a model was trained
CHUNK = 2**24  # entries compared at once, so that a large tensor is not copied


@dataclass(frozen=True)
class Before:
    """A few entries of each tensor of a model before it is unlearned."""

    sampled: Mapping[str, Tensor]

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> Before:
        """Keep some entries of a model's weights and buffers; a copy of them all would double its memory."""
        return cls({name: _some(value).clone() for name, value in weights.items()})

    def is_still(self, weights: Mapping[str, Tensor], stored: Callable[[], Mapping[str, Tensor]]) -> bool:
        """Return whether a model's weights and buffers are unchanged, each to within `TOLERANCE`.

        `stored` reads the original ones; it is called only if the kept entries are unchanged.
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
    parts = (torch.split(tensor.detach().flatten(), CHUNK) for tensor in (value, before))
    return all(float((now.to(then) - then).abs().max()) <= allowed for now, then in zip(*parts, strict=True))
