"""An attack's AUC over runs that share utterances: pairs within each run, intervals over utterances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from orchestrator.evidence.roc import UNMEASURED, Z975, Estimate, auc_interval

Vector = Float[np.ndarray, " n"]


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """An attack on one model: scores, larger for what it calls a member, and whose they are."""

    members: Vector
    others: Vector
    member_ids: np.ndarray[Any, Any]  # text
    other_ids: np.ndarray[Any, Any]

    @property
    def measured(self) -> bool:
        """Whether there is an AUC: utterances on both sides, and no score NaN."""
        sides = (self.members, self.others)
        return all(len(side) and not np.isnan(side).any() for side in sides)


@dataclass(frozen=True)
class _Pooled:
    """The AUC, and by how much each utterance moves it: keyed by side and id, summed over the runs that it is in."""

    value: float
    influence: dict[tuple[str, str], float]

    def variance(self) -> float:
        """Of the value, over utterances; each side with DeLong's m / (m − 1), m distinct utterances."""
        sides = [np.array([v for (side, _), v in self.influence.items() if side == s]) for s in ("member", "other")]
        return float(sum(len(side) / max(len(side) - 1, 1) * (side**2).sum() for side in sides))

    def count(self, side: str) -> int:
        """Distinct utterances of a side."""
        return sum(key[0] == side for key in self.influence)


def pooled_auc(runs: Sequence[Attacked]) -> Estimate:
    """P(member's score > other's score of the same run), a run weighing as many as it has members, with its interval.

    Scores of two models share no scale, so that only pairs within a run count. The variance is DeLong's (DeLong et al.,
    Biometrics 44, 1988), with each utterance as one cluster over the runs that it is in (Obuchowski, Biometrics 53,
    1997): seeds share their holdout, and class unlearning may forget the same class twice. The interval is made on the
    logit scale; where the variance vanishes (no error, or all scores equal) it is Newcombe's for the distinct
    utterances. With one run it is DeLong's own. Models are taken as given, as in `roc.auc_interval`.

    Returns:
        NaN where no run can be measured; runs that cannot be are left out.
    """
    found = _pooled(runs)
    if found is None:
        return UNMEASURED
    value, variance = found.value, found.variance()
    if variance <= 0 or not 0 < value < 1:
        return Estimate(value, *auc_interval(value, found.count("member"), found.count("other")))
    logit, half = np.log(value / (1 - value)), Z975 * np.sqrt(variance) / (value * (1 - value))
    low, high = (float(1 / (1 + np.exp(-(logit + sign * half)))) for sign in (-1, 1))
    return Estimate(value, low, high)


def pooled_difference(these: Sequence[Attacked], those: Sequence[Attacked]) -> Estimate:
    """Pooled AUC of one model's runs minus another's, ± 1.96 standard errors, utterance by utterance: what makes an
    utterance easy for both models cancels. NaN where either cannot be measured."""
    first, second = _pooled(these), _pooled(those)
    if first is None or second is None:
        return UNMEASURED
    keys = {**first.influence, **second.influence}
    apart = {key: first.influence.get(key, 0.0) - second.influence.get(key, 0.0) for key in keys}
    value = first.value - second.value
    half = Z975 * float(np.sqrt(_Pooled(value, apart).variance()))
    return Estimate(value, value - half, value + half)


def _pooled(runs: Sequence[Attacked]) -> _Pooled | None:
    measured = [run for run in runs if run.measured]
    if not measured:
        return None
    total = sum(len(run.members) for run in measured)
    value, influence = 0.0, dict[tuple[str, str], float]()
    for run in measured:
        share = len(run.members) / total
        sides = _placements(run.members, run.others)
        own = float(sides[0].mean())
        value += share * own
        for side, ids, placed in zip(("member", "other"), (run.member_ids, run.other_ids), sides, strict=True):
            for name, place in zip(ids, placed, strict=True):
                key = (side, str(name))
                influence[key] = influence.get(key, 0.0) + share * (float(place) - own) / len(placed)
    return _Pooled(value, influence)


def _placements(members: Vector, others: Vector) -> tuple[Vector, Vector]:
    """For each member the share of others below it, for each other the share of members above it; ties count half."""
    m, n = len(members), len(others)
    ranks = rankdata(np.concatenate([members, others]))
    below = (ranks[:m] - rankdata(members)) / n
    above = 1 - (ranks[m:] - rankdata(others)) / m
    return below, above
