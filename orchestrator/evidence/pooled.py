"""An attack's AUC over runs that share utterances: pairs within a run and a class, intervals over utterances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm

from orchestrator.evidence.roc import UNMEASURED, Estimate, auc_interval

Vector = Float[np.ndarray, " n"]


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """An attack on one model: scores, larger for likely members, and the utterances that they belong to."""

    members: Vector
    others: Vector
    member_ids: np.ndarray[Any, Any]  # text
    other_ids: np.ndarray[Any, Any]
    member_classes: Int[np.ndarray, " n"]
    other_classes: Int[np.ndarray, " n"]

    @property
    def measured(self) -> bool:
        """Whether there is an AUC: utterances of one class on both sides, and no score NaN."""
        sides = (self.members, self.others)
        return bool(np.isin(self.member_classes, self.other_classes).any()) and not any(
            np.isnan(s).any() for s in sides
        )


@dataclass(frozen=True)
class _Pooled:
    """The AUC, and how much each utterance contributes: keyed by side and id, summed over the runs that it is in."""

    value: float
    influence: dict[tuple[str, str], float]

    def variance(self) -> float:
        """Variance of the AUC over utterances; each side with DeLong's m / (m − 1), m distinct utterances."""
        sides = [np.array([v for (side, _), v in self.influence.items() if side == s]) for s in ("member", "other")]
        return float(sum(len(side) / max(len(side) - 1, 1) * (side**2).sum() for side in sides))

    def count(self, side: str) -> int:
        """Count distinct utterances of a side."""
        return sum(key[0] == side for key in self.influence)


def pooled_auc(runs: Sequence[Attacked], confidence: float = 0.95) -> Estimate:
    """Compute P(member's score > other's score of the same run and class), each member counting once; with interval.

    Scores of two models share no scale, and classes differ in how easy they are, so that only pairs within a run and a
    class count; members of a class that no other has are left out. The variance is DeLong's (DeLong et al.,
    Biometrics 44, 1988), with each utterance as one cluster over the runs that it is in (Obuchowski, Biometrics 53,
    1997): seeds share their holdout, and class unlearning may forget the same class twice. The interval is made on the
    logit scale; where the variance vanishes (no error, or all scores equal) it is Newcombe's for the distinct
    utterances. With one run of one class it is DeLong's own. Deviations are from the run's mean, not the class's, which
    would vanish with a single other of a class. Models are taken as given, as in `roc.auc_interval`.

    Returns:
        NaN where no run can be measured; runs that cannot be are left out.
    """
    found = _pooled(runs)
    if found is None:
        return UNMEASURED
    value, variance = found.value, found.variance()
    if variance <= 0 or not 0 < value < 1:
        return Estimate(value, *auc_interval(value, found.count("member"), found.count("other"), confidence))
    z = float(norm.ppf((1 + confidence) / 2))
    logit, half = np.log(value / (1 - value)), z * np.sqrt(variance) / (value * (1 - value))
    low, high = (float(1 / (1 + np.exp(-(logit + sign * half)))) for sign in (-1, 1))
    return Estimate(value, low, high)


def pooled_difference(these: Sequence[Attacked], those: Sequence[Attacked], confidence: float = 0.95) -> Estimate:
    """Subtract another model's pooled AUC, ± 1.96 standard errors; NaN if either cannot be measured.

    The error is computed by utterance: what makes an utterance easy for both models cancels.
    """
    first, second = _pooled(these), _pooled(those)
    if first is None or second is None:
        return UNMEASURED
    keys = {**first.influence, **second.influence}
    apart = {key: first.influence.get(key, 0.0) - second.influence.get(key, 0.0) for key in keys}
    value = first.value - second.value
    half = float(norm.ppf((1 + confidence) / 2)) * float(np.sqrt(_Pooled(value, apart).variance()))
    return Estimate(value, value - half, value + half)


def _pooled(runs: Sequence[Attacked]) -> _Pooled | None:
    measured = [run for run in runs if run.measured]
    if not measured:
        return None
    placed = [_placements(run) for run in measured]  # for each run: side, id, placement, weight
    total = sum(side == "member" for run in placed for side, *_ in run)
    value, influence = 0.0, dict[tuple[str, str], float]()
    for run in placed:
        members = [place for side, _, place, _ in run if side == "member"]
        own = float(np.mean(members))
        value += own * len(members) / total
        for side, name, place, weight in run:
            influence[side, name] = influence.get((side, name), 0.0) + weight * (place - own) / total
    return _Pooled(value, influence)


def _placements(run: Attacked) -> list[tuple[str, str, float, float]]:
    """Yield side, id, placement and weight of each utterance whose class both sides have.

    A member's placement is the share of its class's others below it, with weight 1; an other's is the share of its
    class's members above it, with the weight of as many members as fall to it. Ties count half.
    """
    found = []
    for label in np.intersect1d(run.member_classes, run.other_classes):
        mine, theirs = run.member_classes == label, run.other_classes == label
        members, others = run.members[mine], run.others[theirs]
        wins = (members[:, None] > others) + 0.5 * (members[:, None] == others)
        below, above = wins.mean(axis=1), wins.mean(axis=0)
        found += [("member", str(name), float(p), 1.0) for name, p in zip(run.member_ids[mine], below, strict=True)]
        found += [
            ("other", str(name), float(p), len(members) / len(others))
            for name, p in zip(run.other_ids[theirs], above, strict=True)
        ]
    return found
