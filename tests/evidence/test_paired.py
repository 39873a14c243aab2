"""Paired comparisons against SciPy and against values from tables."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from orchestrator.evidence.paired import compare_paired, holm, smallest_detectable

NINE = np.array([1.2, 0.4, -0.3, 2.2, 0.9, 1.4, 0.1, 0.8, 1.9])


def test_below_ten_pairs_it_is_the_paired_t_test() -> None:
    found, wanted = compare_paired(NINE), stats.ttest_1samp(NINE, 0.0)
    assert found.test == "paired t"
    assert found.p == pytest.approx(wanted.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(wanted.confidence_interval()))


def test_from_ten_pairs_on_it_is_a_bootstrap_near_the_t_test_for_normal_values() -> None:
    values = np.random.default_rng(1).normal(1.0, 1.0, 40)
    found, wanted = compare_paired(values), stats.ttest_1samp(values, 0.0)
    assert found.test == "bootstrap"
    low, high = wanted.confidence_interval()
    assert (found.low, found.high) == (pytest.approx(low, abs=0.1), pytest.approx(high, abs=0.1))
    assert found.p < 0.01
    assert found == compare_paired(values)  # no chance of its own


@pytest.mark.parametrize("n", [10, 14])
def test_the_bootstrap_finds_a_difference_where_there_is_none_in_about_one_of_twenty(n: int) -> None:
    rng = np.random.default_rng(2)
    found = [compare_paired(rng.normal(size=n)) for _ in range(300)]
    assert (
        sum(f.p < 0.05 for f in found) <= 23
    )  # the 97.5 % quantile of 300 at 5 %; a percentile bootstrap has about 30


def test_the_interval_excludes_zero_exactly_where_p_is_below_five_percent() -> None:
    rng = np.random.default_rng(3)
    found = [compare_paired(rng.exponential(size=12) - 0.4) for _ in range(200)]
    assert 20 < sum(f.p < 0.05 for f in found) < 180
    assert [f.low > 0 or f.high < 0 for f in found] == [f.p < 0.05 for f in found]


def test_pairs_that_are_nearly_all_equal_fall_back_to_the_t_test() -> None:
    values = np.array([0.0] * 9 + [1.0])
    found, wanted = compare_paired(values), stats.ttest_1samp(values, 0.0)
    assert (found.test, found.p) == ("paired t", pytest.approx(wanted.pvalue))


def test_a_bootstrap_of_values_around_zero_finds_nothing() -> None:
    assert compare_paired(np.tile([-1.0, 1.0], 10)).p > 0.5


def test_the_effect_is_hedges_g_of_the_differences() -> None:
    uncorrected = NINE.mean() / NINE.std(ddof=1)
    assert compare_paired(NINE).effect == pytest.approx(uncorrected * (1 - 3 / (4 * 8 - 1)))


def test_nothing_is_tested_with_two_pairs_and_missing_pairs_do_not_count() -> None:
    found = compare_paired(np.array([1.0, np.nan, 2.0]))
    assert (found.n, found.mean, found.test) == (2, 1.5, "none")
    assert np.isnan([found.p, found.low, found.effect, found.detectable]).all()


@pytest.mark.parametrize(("value", "p"), [(0.0, 1.0), (2.0, 0.0)])
def test_differences_without_spread_are_what_they_are(value: float, p: float) -> None:
    found = compare_paired(np.full(4, value))
    assert (found.low, found.high, found.p) == (value, value, p)


# G*Power 3.1, t-test of dependent means, two-sided 5 %, power 80 %: smallest effect for this number of pairs.
@pytest.mark.parametrize(("n", "effect"), [(3, 3.26), (5, 1.68), (10, 1.00), (34, 0.49)])
def test_the_smallest_detectable_difference_is_that_of_published_power_tables(n: int, effect: float) -> None:
    assert smallest_detectable(n) == pytest.approx(effect, abs=0.02)


def test_power_is_what_simulation_finds() -> None:
    n, rng = 6, np.random.default_rng(0)
    drawn = rng.normal(smallest_detectable(n), 1.0, (4000, n))
    assert np.mean(stats.ttest_1samp(drawn, 0.0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.02)


def test_holm_is_the_example_of_its_textbook_and_leaves_out_what_was_not_tested() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    found = holm([0.02, float("nan"), 0.03])
    assert (found[0], found[2]) == (pytest.approx(0.04), pytest.approx(0.04))
    assert np.isnan(found[1])
    assert holm([]) == []
