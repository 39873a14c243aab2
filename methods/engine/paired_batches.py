"""Batches of two halves: one epoch over one set, paired with as many utterances of another, repeated as needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from methods.base import Batch, BatchSource


@dataclass(frozen=True)
class Paired:
    """A `BatchSource`: every batch has as many utterances of `over` as of `partner`, each in its set's own order."""

    over: BatchSource  # each utterance once per epoch
    partner: BatchSource  # repeated as needed; not empty

    def __len__(self) -> int:
        return 2 * len(self.over)

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Yield one epoch over `over`, half a batch at a time; the last batch may be smaller, with equal halves too."""
        half = max(1, batch_size // 2)
        others = self._endless(half, generator)
        waiting: Batch | None = None
        for batch in self.over.batches(half, generator):
            waiting = waiting or next(others)
            while len(waiting) < len(batch):
                waiting = joined(waiting, next(others))
            yield joined(batch, waiting.cut(0, len(batch)))
            waiting = waiting.cut(len(batch)) if len(waiting) > len(batch) else None

    def _endless(self, size: int, generator: torch.Generator | None) -> Iterator[Batch]:
        assert len(self.partner) > 0
        while True:
            yield from self.partner.batches(size, generator)


def joined(one: Batch, other: Batch) -> Batch:
    """Return the utterances of both, in this order.

    Sets with durations cut each half to its own length (`methods.engine.length_buckets`): the shorter one is padded
    with zeros again, which the backbones that take such batches mask.
    """
    time = max(one.features.shape[1], other.features.shape[1])
    return Batch(
        features=torch.cat([padded(one.features, time), padded(other.features, time)]),
        lengths=torch.cat([one.lengths, other.lengths]),
        labels=torch.cat([one.labels, other.labels]),
        is_forget=torch.cat([one.is_forget, other.is_forget]),
        utterances=torch.cat([one.utterances, other.utterances]),
        forget_on_host=torch.cat([one.forget_on_host, other.forget_on_host]),
    )


def padded(features: Float[Tensor, "batch short ..."], time: int) -> Float[Tensor, "batch time ..."]:
    """Return features with zeros appended in time, up to `time`."""
    missing = features.new_zeros(len(features), time - features.shape[1], *features.shape[2:])
    return torch.cat([features, missing], dim=1) if missing.shape[1] else features
