"""Compare two methods on the same seeds and forget sets: interval, p-value, effect size, and what could be seen.

Below ten pairs the test is the paired t-test; from ten on the bootstrap-t, which assumes no shape. Sources: Efron &
Tibshirani, An Introduction to the Bootstrap, 1993, ch. 12 (bootstrap-t); Holm, Scand. J. Statist. 6, 1979; Hedges, J.
Educ. Stat. 6, 1981 (effect size).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import optimize, stats

FEWEST = 3
"""Pairs below which nothing is tested."""
BOOTSTRAP_FROM = 10
RESAMPLES = 9_999
POWER, ALPHA = 0.8, 0.05
Vector = Float[np.ndarray, " n"]
Test = Literal["paired t", "bootstrap", "none"]


@dataclass(frozen=True)
class Paired:
    """A mean difference with its 95 % interval; all but mean and n are NaN with fewer than three pairs."""

    mean: float
    low: float
    high: float
    n: int
    test: Test
    p: float  # two-sided, not corrected
    effect: float  # Hedges' g of the differences: mean / standard deviation, corrected for small n
    detectable: float  # smallest true difference that a t-test finds with power 80 %, given this spread


def compare_paired(differences: Vector) -> Paired:
    """Test whether the mean of paired differences is 0; NaN among them are left out."""
    found = np.asarray(differences, dtype=np.float64)
    found = found[~np.isnan(found)]
    n, nothing = len(found), float("nan")
    mean = float(found.mean()) if n else nothing
    if n < FEWEST:
        return Paired(mean, nothing, nothing, n, "none", nothing, nothing, nothing)
    deviation = float(found.std(ddof=1))
    detectable = smallest_detectable(n) * deviation
    if deviation <= 1e-12 * max(1.0, abs(mean)):  # equal in every pair: no test has anything to estimate
        effect = 0.0 if mean == 0 else float(np.copysign(np.inf, mean))
        return Paired(mean, mean, mean, n, "none", 1.0 if mean == 0 else 0.0, effect, detectable)
    effect = mean / deviation * (1 - 3 / (4 * (n - 1) - 1))
    resampled = _bootstrap(found) if n >= BOOTSTRAP_FROM else None
    test: Test = "bootstrap" if resampled else "paired t"
    low, high, p = resampled or _t(mean, deviation, n)
    return Paired(mean, low, high, n, test, p, effect, detectable)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for the number of comparisons, step down; NaN are not counted and stay NaN."""
    p = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    adjusted = np.full(len(p), np.nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * p[order]))
    return [float(value) for value in adjusted]


@cache
def smallest_detectable(n: int) -> float:
    """Return the smallest true difference, in standard deviations, that a paired t-test on n pairs finds.

    With power 80 % at a two-sided level of 5 %, by the noncentral t-distribution.
    """
    freedom = n - 1
    critical = float(stats.t.ppf(1 - ALPHA / 2, freedom))

    def missing_power(shift: float) -> float:
        return float(stats.nct.sf(critical, freedom, shift * np.sqrt(n))) - POWER  # the other tail is below 1e-6

    enough = (1.5 * critical + 3) / np.sqrt(n)
    return float(optimize.brentq(missing_power, 1e-6, enough))


def _t(mean: float, deviation: float, n: int) -> tuple[float, float, float]:
    error = deviation / np.sqrt(n)
    half = float(stats.t.ppf(1 - ALPHA / 2, n - 1)) * error
    return mean - half, mean + half, float(2 * stats.t.sf(abs(mean) / error, n - 1))


def _bootstrap(found: Vector) -> tuple[float, float, float] | None:
    """Return the symmetric bootstrap-t interval of the mean and its p-value; None if too few resamples vary.

    Both follow from the resampled |t|, so that the interval excludes 0 exactly where p < 5 %. A percentile or BCa
    interval of ten pairs is too short: without a difference it excludes 0 in 10 % of samples.
    """
    n, mean = len(found), float(found.mean())
    error = float(found.std(ddof=1)) / np.sqrt(n)
    resampled = found[np.random.default_rng(0).integers(0, n, (RESAMPLES, n))]
    errors = resampled.std(axis=1, ddof=1) / np.sqrt(n)
    apart = np.abs(resampled.mean(axis=1) - mean)
    sizes = np.divide(apart, errors, out=np.full(RESAMPLES, np.inf), where=errors > 1e-12 * max(1.0, abs(mean)))
    sizes.sort()
    allowed = round(ALPHA * (RESAMPLES + 1)) - 2  # resamples beyond the interval where p is just below 5 %
    half = float(sizes[-1 - allowed]) * error
    if not np.isfinite(half):
        return None
    beyond = int(np.sum(sizes >= abs(mean) / error))
    return mean - half, mean + half, (beyond + 1) / (RESAMPLES + 1)
