"""Speaker-level membership: was this person in the training set, by all recordings of each person together?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from orchestrator.evidence.roc import UNMEASURED, Estimate, auc, tpr_at_fpr

FEWEST = 3  # speakers on a side


@dataclass(frozen=True)
class SpeakerAttack:
    """How well mean scores separate speakers; the interval is over speakers, not over recordings."""

    auc: Estimate
    tpr_at_1_percent: float  # NaN with fewer than 100 speakers who were never in training
    members: int  # speakers
    others: int


def speaker_attack(
    scores: Float[np.ndarray, " n"],
    speakers: np.ndarray[Any, Any],
    labels: Int[np.ndarray, " n"],
    is_member: Bool[np.ndarray, " n"],
) -> SpeakerAttack:
    """Attack speakers by the mean score of their recordings, larger for "was trained on".

    After the participant-level attack of Miao et al. 2021 (arXiv 1905.07082) and the speaker-level one of Teixeira et
    al. 2024 (arXiv 2405.01207), who aggregate several recordings of a speaker.

    Differs: no classifier is trained on shadow models. Words differ in how easy they are, and speakers in what they
    say: from each score the middle of the two sides' means of its class is subtracted, and classes that only one side
    has are left out.

    Limits: a request often names few speakers, and the interval is then wide. Voices of the two sides may differ in
    more than membership, which Retrain's figure shows.

    Args:
        scores: of recordings.
        speakers: of each; a speaker is on one side only.
        labels: of each.
        is_member: which recordings are of speakers under attack; the others are of speakers never trained on.

    Returns:
        NaN with fewer than three speakers on a side, or where a score is NaN.

    Raises:
        ValueError: a speaker is on both sides.
    """
    if both := set(speakers[is_member]) & set(speakers[~is_member]):
        raise ValueError(f"A speaker must be on one side; on both are {', '.join(sorted(map(str, both)))}.")
    shared = np.isin(labels, labels[is_member]) & np.isin(labels, labels[~is_member])
    scores, speakers, labels, is_member = (values[shared] for values in (scores, speakers, labels, is_member))
    centered = scores.astype(np.float64)
    for label in np.unique(labels):
        own = labels == label
        centered[own] -= (scores[own & is_member].mean() + scores[own & ~is_member].mean()) / 2
    members, others = (_means(centered[side], speakers[side]) for side in (is_member, ~is_member))
    if min(len(members), len(others)) < FEWEST:
        return SpeakerAttack(UNMEASURED, float("nan"), len(members), len(others))
    rate = tpr_at_fpr(members, others, 0.01).value
    return SpeakerAttack(auc(members, others), rate, len(members), len(others))


def _means(scores: Float[np.ndarray, " n"], speakers: np.ndarray[Any, Any]) -> Float[np.ndarray, " speakers"]:
    _, place = np.unique(speakers, return_inverse=True)
    means: Float[np.ndarray, " speakers"] = np.bincount(place, weights=scores) / np.maximum(np.bincount(place), 1)
    return means
