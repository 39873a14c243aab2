"""How well scores separate two sets: area under the ROC curve, rate found at few false alarms, and their intervals.

Scores are larger for what the attack calls a member. All intervals are at 95 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.stats import beta, norm, rankdata

Z975 = float(norm.ppf(0.975))
FEWEST_PAIRS = 10
"""With fewer pairs of a member and a non-member no AUC is reported: its interval would span half of [0, 1]."""
Vector = Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Estimate:
    """A fraction with its 95 % interval; all NaN if it cannot be measured."""

    value: float
    low: float
    high: float


UNMEASURED = Estimate(float("nan"), float("nan"), float("nan"))


def auc(members: Vector, others: Vector) -> Estimate:
    """Compute P(member's score > other's score), ties counted half (Mann–Whitney), with Newcombe's interval.

    NaN when a set is empty or a score is NaN.
    """
    value = auc_value(members, others)
    return UNMEASURED if np.isnan(value) else Estimate(value, *auc_interval(value, len(members), len(others)))


def auc_value(members: Vector, others: Vector) -> float:
    """Compute the AUC alone, for means over folds, whose values have no interval of their own; NaN as in `auc`."""
    m, n = len(members), len(others)
    if not m or not n or np.isnan(members).any() or np.isnan(others).any():
        return float("nan")
    ranks = rankdata(np.concatenate([members, others]))
    return float((ranks[:m].sum() - m * (m + 1) / 2) / (m * n))


def auc_interval(value: float, members: int, others: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the AUCs that are 1.96 of their own standard errors from `value` (Newcombe, Stat. Med. 25, 2006, no. 5).

    At another `confidence` than 95 %, its quantile of the normal distribution replaces 1.96.

    Never empty and never outside 0-1, even if the sets are separated without error; both set sizes are replaced by
    their mean in Hanley and McNeil's variance. It treats utterances as independent, and one model as given: that
    another training run gives another AUC is what the mean over seeds tells.
    """
    mean, z = (members + others) / 2, float(norm.ppf((1 + confidence) / 2))

    def variance(at: float) -> float:
        inside = 1 + (mean - 1) * ((1 - at) / (2 - at) + at / (1 + at))
        return at * (1 - at) * inside / (members * others)

    def distance(at: float) -> float:
        return abs(at - value) - z * float(np.sqrt(variance(at)))

    edge = 1e-9  # at 0 and 1 the variance vanishes, and with it the distance: no root that we want
    low = 0.0 if value <= 0 else float(brentq(distance, 0.0, min(value, 1 - edge)))
    high = 1.0 if value >= 1 else float(brentq(distance, max(value, edge), 1.0))
    return low, high


def tpr_at_fpr(members: Vector, others: Vector, fpr: float) -> Estimate:
    """Find the largest share of members above a threshold that at most `fpr` of the others exceed (Clopper–Pearson).

    Source: Carlini et al. 2022 (arXiv 2112.03570). n others can measure no rate below 1 / n: with fewer than 1 / fpr
    of them the answer is NaN, not the rate at no false alarm. The interval takes the threshold as given.
    """
    if not 0 < fpr < 1:
        raise ValueError(f"fpr must be strictly between 0 and 1; got {fpr}")
    m, n = len(members), len(others)
    allowed = int(np.floor(fpr * n + 1e-9))  # false alarms
    if not m or allowed < 1 or np.isnan(members).any() or np.isnan(others).any():
        return UNMEASURED
    threshold = np.sort(others)[n - 1 - allowed]
    found = int(np.sum(members > threshold))
    low = float(beta.ppf(0.025, found, m - found + 1)) if found else 0.0
    high = float(beta.ppf(0.975, found + 1, m - found)) if found < m else 1.0
    return Estimate(found / m, low, high)


def roc_curve(members: Vector, others: Vector, rates: Vector) -> Vector:
    """Find the share of members above the threshold that each share of the others exceeds; (rates,) in 0-1.

    Rates below 1 / n of n others cannot be measured and are NaN, as in `tpr_at_fpr`.
    """
    n = len(others)
    allowed = np.floor(np.asarray(rates) * n + 1e-9).astype(int)
    ordered = np.append(np.sort(others), np.inf)[::-1]  # at place k: the threshold that k others exceed, k = 0 first
    thresholds = np.append(ordered[1:], -np.inf)[np.minimum(allowed, n)]
    found: Vector = np.mean(np.asarray(members)[:, None] > thresholds, axis=0)
    return np.where((allowed >= 1) & (len(members) > 0), found, np.nan)
