"""Seeded orders of the training utterances: every forget set of an order is a prefix, so 1 % is contained in 2 %."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]


def random_order(labels: npt.NDArray[Any], count: int, rng: np.random.Generator) -> Positions:
    """(count,) positions into `labels` (N,), every utterance as likely as another."""
    return rng.permutation(len(labels))[:count]


def stratified_order(labels: npt.NDArray[Any], count: int, rng: np.random.Generator) -> Positions:
    """(count,) positions into `labels` (N,), each class in its proportion of all N.

    Utterance k of a class of n is at (k + 1/2) / n: the Sainte-Laguë apportionment, which adds one seat at a time.
    """
    shuffled = rng.permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    order: Positions = np.lexsort((rng.random(len(labels)), place))
    return order[:count]


def balanced_order(labels: npt.NDArray[Any], count: int, rng: np.random.Generator) -> Positions:
    """(count,) positions into `labels` (N,), each class equally often, whatever its size.

    In rounds of one utterance a class; for a class that has run out, a round takes a random one of those left. This is
    MU-Bench's generator (Cheng and Amiri, arXiv 2406.14796; chengjiali/MU-Bench, script/prepare_df.py) in its finest
    steps. Differs: that one goes in steps of int(int(N / 100) / C) a class, so that its "1 %" of Speech Commands is
    0.986 %; here a prefix has the requested length.
    """
    shuffled = rng.permutation(len(labels))
    classes = np.unique(labels)
    waiting = [list(shuffled[labels[shuffled] == label][::-1]) for label in classes]
    anyone = list(rng.permutation(len(labels)))
    taken = np.zeros(len(labels), dtype=bool)
    order: list[int] = []

    def take_from(line: list[int]) -> bool:
        while line:
            if not taken[position := line.pop()]:
                taken[position] = True
                order.append(position)
                return True
        return False

    while len(order) < min(count, len(labels)):
        for number in rng.permutation(len(classes)):
            if not take_from(waiting[number]):
                take_from(anyone)
    return np.array(order[:count], dtype=np.int64)


def index_order(utterance_ids: Sequence[str], indices: Sequence[int], count: int) -> Positions:
    """(count,) positions into `utterance_ids` (N,): index i is the i-th utterance in byte order of the ids.

    So MU-Bench numbers the training files of Speech Commands v0.01 (its noise recordings included).

    Raises:
        ValueError: an index outside [0, N), or one given twice.
    """
    outside = [index for index in indices if not 0 <= index < len(utterance_ids)]
    if outside:
        raise ValueError(f"index outside the train split: got {outside[0]}, allowed: 0 to {len(utterance_ids) - 1}")
    if len(set(indices)) < len(indices):
        raise ValueError(f"index given twice: got {len(indices)} indices of which {len(set(indices))} are different")
    ranked = np.array(sorted(range(len(utterance_ids)), key=lambda row: utterance_ids[row].encode()), dtype=np.int64)
    return ranked[np.asarray(indices[:count], dtype=np.int64)]
