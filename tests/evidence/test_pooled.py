"""The pooled AUC against DeLong written out, and its interval under shared utterances by simulation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from orchestrator.evidence.pooled import Attacked, pooled_auc, pooled_difference
from orchestrator.evidence.roc import auc, auc_interval


def attacked(members: np.ndarray, others: np.ndarray, own: str = "", classes: int = 1) -> Attacked:
    """Others are the same utterances in every run; members too, unless the run has its `own`."""
    return Attacked(
        members=members,
        others=others,
        member_ids=np.array([f"f{own}{n}" for n in range(len(members))]),
        other_ids=np.array([f"h{n}" for n in range(len(others))]),
        member_classes=np.arange(len(members)) % classes,
        other_classes=np.arange(len(others)) % classes,
    )


def sweep(rng: np.random.Generator, shift: float, classes: int, m: int = 24, n: int = 30) -> list[Attacked]:
    """Three seeds forget their own utterances and share a holdout, as easy for each model; classes differ in ease."""
    ease, easy = rng.normal(size=n), 2 * np.arange(m + n) % classes
    return [
        attacked(
            rng.normal(shift, 1, m) + easy[np.arange(m) % classes],
            0.95 * ease + math.sqrt(1 - 0.95**2) * rng.normal(size=n) + easy[np.arange(n) % classes],
            str(seed),
            classes,
        )
        for seed in range(3)
    ]


def test_one_run_has_its_own_auc_and_delongs_variance() -> None:
    rng = np.random.default_rng(0)
    members, others = np.round(rng.normal(0.6, 1, 25), 1), np.round(rng.normal(0, 1, 40), 1)
    found = pooled_auc([attacked(members, others)])
    pairs = (members[:, None] > others).astype(float) + 0.5 * (members[:, None] == others)
    variance = pairs.mean(axis=1).var(ddof=1) / 25 + pairs.mean(axis=0).var(ddof=1) / 40
    assert found.value == pytest.approx(auc(members, others).value)
    logits = [math.log(p / (1 - p)) for p in (found.low, found.value, found.high)]
    half = 1.959964 * math.sqrt(variance) / (found.value * (1 - found.value))
    assert np.diff(logits) == pytest.approx([half, half], rel=1e-5)


def test_the_same_run_twice_tells_no_more_than_once_and_own_utterances_do() -> None:
    rng = np.random.default_rng(1)
    members, others = rng.normal(0.5, 1, 30), rng.normal(0, 1, 30)
    once, twice = pooled_auc([attacked(members, others)]), pooled_auc([attacked(members, others)] * 2)
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))
    apart = replace(attacked(members, others, "b"), other_ids=np.arange(30).astype(str))
    both = pooled_auc([attacked(members, others), apart])
    assert both.high - both.low == pytest.approx((once.high - once.low) / math.sqrt(2), rel=0.02)


@pytest.mark.parametrize(("shift", "classes"), [(0.0, 1), (0.8, 1), (0.0, 12), (0.8, 12)])
def test_the_interval_holds_the_truth_about_nineteen_times_in_twenty_though_seeds_share_a_holdout(
    shift: float, classes: int
) -> None:
    truth = 0.5 * (1 + math.erf(shift / 2))
    draws = [pooled_auc(sweep(np.random.default_rng(seed), shift, classes)) for seed in range(200)]
    covered = sum(d.low <= truth <= d.high for d in draws)
    assert binomtest(covered, 200, 0.95).pvalue > 0.001


def test_pairs_are_never_made_across_runs() -> None:
    # A second model whose scores are all larger would spoil a ranking of everything together.
    rng = np.random.default_rng(2)
    members, others = rng.normal(1, 1, 20), rng.normal(0, 1, 20)
    found = pooled_auc([attacked(members, others), attacked(members + 100, others + 100, "b")])
    assert found.value == pytest.approx(auc(members, others).value)


def test_only_utterances_of_one_class_are_compared() -> None:
    easy_class = np.array([10.0, 10.0, 0.0, 0.0])  # that D_f has more of it than the holdout says nothing of membership
    run = Attacked(
        members=easy_class,
        others=np.array([10.0, 0.0, 0.0, 5.0]),
        member_ids=np.array(list("abcd")),
        other_ids=np.array(list("efgh")),
        member_classes=np.array([0, 0, 1, 1]),
        other_classes=np.array([0, 1, 1, 2]),
    )
    assert pooled_auc([run]).value == 0.5
    assert math.isnan(pooled_auc([replace(run, other_classes=np.full(4, 2))]).value)


def test_an_attack_without_error_has_the_interval_of_its_distinct_utterances() -> None:
    runs = [attacked(np.arange(20.0) + 50, np.arange(20.0), str(seed)) for seed in range(3)]
    found = pooled_auc(runs)
    assert (found.value, found.low) == (1.0, pytest.approx(auc_interval(1.0, 60, 20)[0]))
    assert pooled_auc([attacked(np.zeros(20), np.zeros(20))]).low < 0.45  # equal scores say nothing


def test_a_difference_on_the_same_utterances_is_narrower_than_either_alone() -> None:
    rng = np.random.default_rng(3)
    one = [attacked(rng.normal(0.3, 1, 25), rng.normal(0, 1, 25), str(seed)) for seed in range(3)]
    other = [replace(run, members=run.members + 0.5) for run in one]
    found = pooled_difference(other, one)
    assert found.value == pytest.approx(pooled_auc(other).value - pooled_auc(one).value)
    assert 0 < found.low < found.value
    alone = pooled_auc(one)
    assert found.high - found.low < alone.high - alone.low


def test_runs_without_utterances_or_with_nan_are_left_out() -> None:
    good, none, broken = (attacked(np.arange(4.0), np.arange(4.0)), attacked(np.empty(0), np.arange(4.0)),
                          attacked(np.array([np.nan, 1.0]), np.arange(4.0)))  # fmt: skip
    assert pooled_auc([good, none, broken]) == pooled_auc([good])
    assert math.isnan(pooled_auc([none, broken]).value)
    assert math.isnan(pooled_difference([good], [none]).value)
