"""EER and minDCF equal those of an independent ROC and of all thresholds by hand; groups are verified as planted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from orchestrator.evidence.verification import P_TARGETS, equal_error_rate, min_dcf, verify_speakers


def scores(seed: int, shift: float, digits: int):
    """Rounded scores have ties between and within the sets."""
    rng = np.random.default_rng(seed)
    targets, nontargets = rng.normal(shift, 1, rng.integers(20, 200)), rng.normal(0, 1, rng.integers(20, 400))
    return targets.round(digits), nontargets.round(digits)


CASES = [(seed, shift, digits) for seed in range(4) for shift in (0.0, 1.0, 3.0) for digits in (0, 1, 6)]


@pytest.mark.parametrize("case", CASES)
def test_both_equal_an_independent_roc(case) -> None:
    targets, nontargets = scores(*case)
    truth = np.repeat([1, 0], [len(targets), len(nontargets)])
    fpr, tpr, _ = roc_curve(truth, np.concatenate([targets, nontargets]), drop_intermediate=False)
    eer = brentq(lambda x: 1 - x - np.interp(x, fpr, tpr), 0, 1)
    assert equal_error_rate(targets, nontargets) == pytest.approx(eer, abs=1e-9)
    for p in P_TARGETS:
        cost = (p * (1 - tpr) + (1 - p) * fpr).min() / min(p, 1 - p)
        assert min_dcf(targets, nontargets, p) == pytest.approx(cost)


def test_the_cost_is_the_smallest_of_all_thresholds_by_hand() -> None:
    targets, nontargets = np.array([0.9, 0.4, 0.4, 0.1]), np.array([0.8, 0.4, 0.2, 0.0, -1.0])
    costs = []
    for threshold in [-2.0, *targets, *nontargets, 2.0]:
        misses = sum(score < threshold for score in targets) / 4
        alarms = sum(score >= threshold for score in nontargets) / 5
        costs.append((2 * 0.3 * misses + 0.7 * alarms) / min(2 * 0.3, 0.7))
    assert min_dcf(targets, nontargets, 0.3, c_miss=2.0) == pytest.approx(min(costs))


def test_separated_scores_have_no_error_and_useless_ones_no_better_cost_than_a_constant() -> None:
    assert equal_error_rate(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 0
    assert min_dcf(np.array([2.0, 3.0]), np.array([0.0, 1.0]), 0.01) == 0
    assert equal_error_rate(np.ones(5), np.ones(9)) == 0.5
    assert min_dcf(np.ones(5), np.ones(9), 0.05) == 1
    assert equal_error_rate(np.array([0.0]), np.array([1.0])) == 1
    assert np.isnan(equal_error_rate(np.empty(0), np.ones(2)))
    assert np.isnan(min_dcf(np.array([np.nan]), np.ones(2), 0.01))
    with pytest.raises(ValueError, match="p_target must be strictly between 0 and 1"):
        min_dcf(np.ones(1), np.ones(1), 1.0)


def embedded(seed: int, known: float):
    """Twelve speakers with ten recordings each; the first four are `known` that far from the middle, the others 3."""
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(12), 10)
    centers = rng.normal(size=(12, 16)) * np.where(np.arange(12) < 4, known, 3.0)[:, None]
    vectors = centers[people] + rng.normal(size=(len(people), 16))
    return vectors, np.array([f"s{p}" for p in people]), people < 4


def test_speakers_without_an_identity_in_the_embeddings_are_at_chance() -> None:
    found = [verify_speakers(*embedded(seed, 0.0), seed=0).eer for seed in range(20)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.04)


def test_speakers_that_are_planted_in_the_embeddings_are_verified() -> None:
    found = verify_speakers(*embedded(0, 3.0), seed=0)
    assert found.eer < 0.02
    assert found.min_dcf[0.01] < 0.3
    weak = verify_speakers(*embedded(0, 0.7), seed=0)
    assert found.eer < weak.eer < 0.45


def test_trials_are_each_pair_once_and_one_speaker_is_enough() -> None:
    vectors, speakers, _ = embedded(0, 3.0)
    alone = verify_speakers(vectors, speakers, speakers == "s0", seed=0)
    assert (alone.speakers, alone.targets, alone.nontargets) == (1, 10 * 9 // 2, 10 * 110)
    four = verify_speakers(vectors, speakers, np.isin(speakers, ["s0", "s1", "s2", "s3"]), seed=0)
    assert (four.targets, four.nontargets) == (4 * 45, 6 * 100 + 40 * 80)


def test_too_few_trials_give_no_figure() -> None:
    vectors, speakers, _ = embedded(0, 3.0)
    few = verify_speakers(vectors[:14], speakers[:14], speakers[:14] == "s1", seed=0)
    assert few.targets == 6
    assert np.isnan(few.eer)
    assert np.isnan(few.min_dcf[0.05])
