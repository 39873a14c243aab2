"""Seeded splits for corpora that have none of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def require_share(setting: str, share: float) -> None:
    """Refuse a share outside [0, 1)."""
    if not 0 <= share < 1:
        raise ValueError(f"{setting} must lie in [0, 1), got {share}")


def stratified_share(
    labels: Sequence[str], speakers: Sequence[str], share: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """(N,) mask of `share` of the utterances: exact to rounding in every class, even over each class's speakers.

    Systematic sampling: order a class's utterances by speaker, speakers at random, and take every (1 / share)-th.
    """
    chosen = np.zeros(len(labels), dtype=bool)
    _, classes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    _, people = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)
    for label in range(int(classes.max(initial=-1)) + 1):
        rows = rng.permutation(np.flatnonzero(classes == label))
        place_in_line = rng.permutation(int(people.max()) + 1)
        rows = rows[np.argsort(place_in_line[people[rows]], kind="stable")]
        count = round(share * len(rows))
        if count:
            chosen[rows[np.floor((np.arange(count) + rng.random()) * len(rows) / count).astype(np.int64)]] = True
    return chosen


def share_among(
    labels: Sequence[str],
    speakers: Sequence[str],
    among: npt.NDArray[np.bool_],
    share: float,
    rng: np.random.Generator,
) -> npt.NDArray[np.bool_]:
    """(N,) mask of `share` of the utterances of the mask `among`, drawn as by `stratified_share`."""
    rows = np.flatnonzero(among).tolist()
    drawn = np.zeros(len(labels), dtype=bool)
    drawn[rows] = stratified_share([labels[row] for row in rows], [speakers[row] for row in rows], share, rng)
    return drawn


def split_groups(groups: Sequence[Any], shares: dict[str, float], rng: np.random.Generator) -> npt.NDArray[Any]:
    """(N,) splits of one speaker's utterances: whole groups (say, videos) to the splits in `shares`, the rest to train.

    A split takes groups in random order until it has its share of the utterances, and at least one group.

    Raises:
        ValueError: there are fewer groups than splits.
    """
    names, number = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    wanted = {split: share for split, share in shares.items() if share > 0}
    if len(names) < len(wanted) + 1:
        raise ValueError(f"too few groups to split: got {len(names)}, allowed: {len(wanted) + 1} or more")
    splits = np.full(len(groups), "train", dtype=object)
    waiting = list(rng.permutation(len(names)))
    for still_to_serve, (split, share) in zip(range(len(wanted), 0, -1), wanted.items(), strict=True):
        taken = 0
        # Every later split, and train, keep one group at least.
        while len(waiting) > still_to_serve and (taken == 0 or taken < round(share * len(groups))):
            rows = np.flatnonzero(number == waiting.pop())
            splits[rows] = split
            taken += len(rows)
    return splits
