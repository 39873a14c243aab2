"""Batches of two halves: one set walked once, and beside it as many utterances of another, begun again as it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from methods.base import Batch, UtteranceSet


@dataclass(frozen=True)
class Paired:
    """A `BatchSource`: every batch holds as many utterances of `over` as of `beside`."""

    over: UtteranceSet  # each utterance once a walk
    beside: UtteranceSet  # in a new order each time it begins again; not empty

    def __len__(self) -> int:
        return 2 * len(self.over)

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """One walk over `over`, half a batch at a time; the last batch may be smaller, its halves are equal too."""
        assert len(self.beside) > 0
        half = max(1, batch_size // 2)
        rounds = -(-len(self.over) // len(self.beside))
        order = torch.cat([self._order(generator) for _ in range(max(1, rounds))])[: len(self.over)]
        beside = replace(
            self.beside,
            utterances=self.beside.utterances[order],
            labels=self.beside.labels[order],
            is_forget=self.beside.is_forget[order],
        )
        for one, other in zip(self.over.batches(half, generator), beside.batches(half), strict=True):
            yield joined(one, other)

    def _order(self, generator: torch.Generator | None) -> torch.Tensor:
        count = len(self.beside)
        return torch.arange(count) if generator is None else torch.randperm(count, generator=generator)


def joined(one: Batch, other: Batch) -> Batch:
    """The utterances of both, in this order; their features have one shape."""
    return Batch(
        features=torch.cat([one.features, other.features]),
        lengths=torch.cat([one.lengths, other.lengths]),
        labels=torch.cat([one.labels, other.labels]),
        is_forget=torch.cat([one.is_forget, other.is_forget]),
        utterances=torch.cat([one.utterances, other.utterances]),
    )
