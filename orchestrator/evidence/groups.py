"""Accuracy by group of speakers or recordings, and how far the groups are apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

FEWEST = 10  # utterances of a group, with fewer of which it is left out of the gap


class Group(NamedTuple):
    """A group's accuracy and size."""

    accuracy: float  # fraction
    utterances: int


def accuracy_of_groups(correct: Bool[np.ndarray, " n"], groups: np.ndarray[Any, Any]) -> dict[str, Group]:
    """Compute the accuracy of each group, in the order of their names.

    Args:
        correct: whether each utterance is classified as labeled.
        groups: (n,) names; utterances with an empty one are in no group.
    """
    found = {}
    for name in sorted(set(groups.tolist()) - {""}):
        of = groups == name
        found[str(name)] = Group(float(np.mean(correct[of])), int(of.sum()))
    return found


def group_gap(found: Mapping[str, Group]) -> float:
    """Compute the largest minus the smallest accuracy over groups of ten utterances or more; NaN for fewer than two.

    The difference in accuracy between groups is the demographic bias of Koenecke et al. (PNAS 2020) where groups are
    people. The maximum over many small groups is large by chance alone, so compare it with Retrain's.
    """
    known = [group.accuracy for group in found.values() if group.utterances >= FEWEST]
    return max(known) - min(known) if len(known) > 1 else float("nan")
