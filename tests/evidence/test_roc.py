"""AUC, true positive rates and their intervals, against closed forms and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score, roc_curve

from orchestrator.evidence import roc
from orchestrator.evidence.roc import auc, auc_interval, tpr_at_fpr


def gaussians(seed: int, m: int, n: int, distance: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(distance, 1, m), rng.normal(0, 1, n)


@pytest.mark.parametrize("distance", [0.0, 0.5, 1.0, 2.0])
def test_the_auc_of_two_gaussians_is_the_normal_distribution_at_their_distance_over_root_two(distance: float) -> None:
    found = auc(*gaussians(0, 20_000, 20_000, distance))
    assert found.value == pytest.approx(norm.cdf(distance / math.sqrt(2)), abs=0.01)
    assert found.low < norm.cdf(distance / math.sqrt(2)) < found.high


def test_the_auc_is_scikit_learns_with_ties_too() -> None:
    members, others = (np.round(v, 1) for v in gaussians(1, 83, 140, 0.7))
    truth = np.repeat([1, 0], [83, 140])
    assert auc(members, others).value == pytest.approx(roc_auc_score(truth, np.concatenate([members, others])))


def test_without_a_difference_the_interval_is_that_of_mann_and_whitney() -> None:
    # Var = (m + n + 1) / (12 m n) for any continuous distribution under the null.
    n = 400
    low, high = auc_interval(0.5, n, n)
    half = 1.96 * math.sqrt((2 * n + 1) / (12 * n * n))
    assert (high - low) / 2 == pytest.approx(half, rel=0.02)
    assert (low + high) / 2 == pytest.approx(0.5)


def test_the_interval_holds_the_truth_about_nineteen_times_in_twenty() -> None:
    truth = norm.cdf(1.0 / math.sqrt(2))
    draws = [auc(*gaussians(seed, 30, 40, 1.0)) for seed in range(400)]
    covered = sum(d.low <= truth <= d.high for d in draws)
    assert binomtest(covered, 400, 0.95).pvalue > 0.001


def test_a_perfect_attack_on_few_utterances_still_has_an_interval() -> None:
    found = auc(np.arange(5.0) + 10, np.arange(5.0))
    assert (found.value, found.high) == (1.0, 1.0)
    assert 0.5 < found.low < 0.95


def test_true_positive_rates_are_those_of_scikit_learns_curve() -> None:
    members, others = (np.round(v, 1) for v in gaussians(2, 500, 1000, 1.5))
    rates, found, _ = roc_curve(np.repeat([1, 0], [500, 1000]), np.concatenate([members, others]))
    for fpr in (0.001, 0.01, 0.1):
        assert tpr_at_fpr(members, others, fpr).value == pytest.approx(found[rates <= fpr + 1e-12].max())


def test_the_true_positive_rate_of_gaussians_is_the_known_one() -> None:
    found = tpr_at_fpr(*gaussians(3, 50_000, 50_000, 2.0), 0.01)
    assert found.value == pytest.approx(norm.cdf(2.0 - norm.ppf(0.99)), abs=0.02)


def test_a_rate_that_so_few_others_cannot_measure_is_nan() -> None:
    members, others = gaussians(4, 50, 99, 5.0)
    assert math.isnan(tpr_at_fpr(members, others, 0.01).value)
    assert not math.isnan(tpr_at_fpr(members, np.append(others, 0.0), 0.01).value)


def test_the_interval_of_a_rate_is_the_exact_binomial_one() -> None:
    members, others = gaussians(5, 60, 200, 2.0)
    found = tpr_at_fpr(members, others, 0.05)
    exact = binomtest(round(found.value * 60), 60).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


def test_empty_sets_and_nan_scores_are_not_measured() -> None:
    some, none = np.arange(3.0), np.empty(0)
    for members, others in ((none, some), (some, none), (np.array([np.nan]), some)):
        assert math.isnan(auc(members, others).value)
        assert math.isnan(tpr_at_fpr(members, others, 0.5).value)
    with pytest.raises(ValueError, match="got 1"):
        tpr_at_fpr(some, some, 1.0)


def test_the_curve_is_the_true_positive_rate_at_each_rate() -> None:
    rng = np.random.default_rng(3)
    members, others = rng.normal(0.7, 1, 80), rng.normal(0, 1, 50)
    rates = np.array([0.001, 0.02, 0.1, 0.5, 0.98])
    wanted = [tpr_at_fpr(members, others, rate).value for rate in rates]
    found = roc.roc_curve(members, others, np.append(rates, 1.0))
    assert found[:-1] == pytest.approx(wanted, nan_ok=True)
    assert found[-1] == 1
