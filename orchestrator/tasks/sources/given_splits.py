"""Splits of listed recordings: those that are given; what they leave open is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from orchestrator.tasks.base import plain_id
from orchestrator.tasks.sources.audio_files import Recording
from orchestrator.tasks.sources.splits import share_among


def with_splits(
    recordings: Sequence[Recording],
    test: Sequence[bool] | None = None,
    *,
    test_share: float,
    validation_share: float,
    keep_in_train: Sequence[str] = (),
    seed: int = 0,
) -> list[Recording]:
    """Return the recordings with splits, drawn in the same proportions in every class where none is given.

    Args:
        recordings: with their split, or an empty one.
        test: which recordings are the test split, where no split is given; None to draw `test_share` of each class.
        test_share: see above.
        validation_share: of what is left of each class, where no recording is given to validation.
        keep_in_train: ids that no drawn split takes.
        seed: of the draws.

    Raises:
        ValueError: a split is given for some recordings only.
    """
    splits = np.array([r.split for r in recordings], dtype=object)
    given = splits != ""
    if given.any() and not given.all():
        first = recordings[int(np.argmin(given))]
        raise ValueError(
            f"split given for some recordings only: got none for {first.path} ({first.where or 'its name'})"
        )
    rng = np.random.default_rng(seed)
    free = ~np.isin([plain_id(r.utterance_id) for r in recordings], keep_in_train)
    labels, speakers = [r.label for r in recordings], [r.speaker for r in recordings]
    if not given.any():
        chosen = share_among(labels, speakers, free, test_share, rng) if test is None else np.asarray(test, dtype=bool)
        splits = np.where(chosen, "test", "train").astype(object)
    if not np.any(splits == "validation"):
        among = (splits == "train") & free
        splits[share_among(labels, speakers, among, validation_share, rng)] = "validation"
    return [replace(recording, split=str(split)) for recording, split in zip(recordings, splits, strict=True)]
