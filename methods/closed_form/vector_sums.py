"""Ridge regression on one-hot labels from sums that are made batch by batch, of vectors of bounded width.

Source: Hoerl and Kennard, Technometrics 1970. Wider vectors are folded by a count sketch: each number goes to one of
`WIDEST` places with a random sign, and what shares a place is added up (Weinberger et al., ICML 2009, arXiv 0902.2206).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

WIDEST = 4096  # numbers of a vector in the sums, whose matrix then takes 134 MB; Whisper tiny has as many
SEED = 0  # of the fold: every trial has the same
FLOOR = 0.01  # of the mean deviation in the first batch, that each number is divided by at least
IMPOSSIBLE = -1e4  # the score of a class without utterances


@dataclass(frozen=True)
class Reading:
    """A transform of vectors before they are summed: standardized to keep precision, and folded if wide."""

    center: Float[Tensor, " width"]
    scale: Float[Tensor, " width"]
    places: Int[Tensor, " width"] | None  # where each number goes
    signs: Float[Tensor, " width"] | None

    @classmethod
    def like(cls, vectors: Float[Tensor, "n width"]) -> Reading:
        """Take the statistics of a first batch."""
        center, deviation = vectors.mean(dim=0), vectors.std(dim=0, correction=0)
        scale = deviation.clamp(min=FLOOR * float(deviation.mean()) or 1.0)
        width = vectors.shape[1]
        if width <= WIDEST:
            return cls(center, scale, None, None)
        generator = torch.Generator().manual_seed(SEED)
        places = torch.randperm(width, generator=generator) % WIDEST
        signs = torch.randint(2, (width,), generator=generator) * 2.0 - 1.0
        return cls(center, scale, places.to(vectors.device), signs.to(vectors))

    def __call__(self, vectors: Float[Tensor, "n width"]) -> Float[Tensor, "n read"]:
        """Return transformed vectors (n, min(width, WIDEST))."""
        found = (vectors - self.center) / self.scale
        if self.places is None or self.signs is None:
            return found
        return found.new_zeros(len(found), WIDEST).index_add_(1, self.places, found * self.signs)


@dataclass(frozen=True)
class RidgeHead:
    """Scores of classes, linear in standardized vectors."""

    reading: Reading
    center: Float[Tensor, " read"]
    scale: Float[Tensor, " read"]
    weights: Float[Tensor, "read classes"]
    bias: Float[Tensor, " classes"]
    absent: Bool[Tensor, " classes"]  # which were not there to learn

    def scores(self, vectors: Float[Tensor, "n width"]) -> Float[Tensor, "n classes"]:
        """Return scores, about 1 for the class that fits and 0 for others; `IMPOSSIBLE` for absent classes."""
        found = (self.reading(vectors) - self.center) / self.scale @ self.weights + self.bias
        return found.masked_fill(self.absent, IMPOSSIBLE)


@dataclass(frozen=True)
class VectorSums:
    """All that the solution depends on, as sums over utterances, in float64; filled in place."""

    reading: Reading
    counts: Float[Tensor, " classes"]
    total: Float[Tensor, " read"]
    by_class: Float[Tensor, "read classes"]
    gram: Float[Tensor, "read read"]

    @classmethod
    def like(cls, vectors: Float[Tensor, "n width"], num_classes: int) -> VectorSums:
        """Return empty sums for vectors of this width."""
        width = min(vectors.shape[1], WIDEST)
        shapes = ((num_classes,), (width,), (width, num_classes), (width, width))
        return cls(Reading.like(vectors), *(vectors.new_zeros(shape) for shape in shapes))

    def add(self, vectors: Float[Tensor, "n width"], labels: Int[Tensor, " n"]) -> None:
        """Add a batch."""
        read = self.reading(vectors)
        targets = functional.one_hot(labels, len(self.counts)).to(read)
        self.counts.add_(targets.sum(dim=0))
        self.total.add_(read.sum(dim=0))
        self.by_class.addmm_(read.T, targets)
        self.gram.addmm_(read.T, read)

    def heads(self, penalties: Sequence[float]) -> list[RidgeHead]:
        """Solve min ‖XW − Y‖² + penalty · ‖W‖², X standardized, Y one-hot, for each penalty; none on the bias.

        The sums cannot be used afterward: the matrix is standardized in place.
        """
        n = self.counts.sum()
        center = self.total / n
        gram = self.gram.addr_(center, n * center, alpha=-1)
        deviation = (gram.diagonal() / n).clamp(min=0).sqrt()
        smallest = torch.full_like(deviation, 1e-6)
        if self.reading.places is None:  # 1e-6 of the number as the network gives it
            smallest /= self.reading.scale
        scale = torch.maximum(deviation, smallest)
        gram.div_(scale[:, None]).div_(scale)
        moments = (self.by_class - torch.outer(center, self.counts)) / scale[:, None]
        found, before = [], 0.0
        for penalty in penalties:
            gram.diagonal().add_(penalty - before)
            before = penalty
            weights = torch.cholesky_solve(moments, torch.linalg.cholesky(gram))
            found.append(RidgeHead(self.reading, center, scale, weights, self.counts / n, self.counts == 0))
        return found
