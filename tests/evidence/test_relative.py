"""The relative test equals brute force, keeps its level where neither model is closer, and finds what was planted."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.evidence.relative import Between, rbf, verdict_rate


def softmax(logits: np.ndarray) -> np.ndarray:
    found = np.exp(logits - logits.max(axis=1, keepdims=True))
    return found / found.sum(axis=1, keepdims=True)


def models(seed: int, known: float, n: int = 75, classes: int = 8, confidence: float = 0.0, unseen: int = 0):
    """Outputs on D_f of two independent Retrains, and of two Originals that know the labels `known` better.

    `confidence` is the standard deviation of the logarithm of a factor that all logits of a model have. The last
    `unseen` utterances are not of D_f: no model knows them better.
    """
    n += unseen
    rng = np.random.default_rng(seed)
    labels, ease = rng.integers(0, classes, n), rng.normal(size=(n, classes))
    ease[np.arange(n), labels] += 1.0

    def trained(extra: float) -> np.ndarray:
        logits = np.exp(rng.normal(0, confidence)) * (ease + rng.normal(0, 0.6, (n, classes)))
        logits[np.arange(n - unseen), labels[: n - unseen]] += extra
        return softmax(logits)

    return trained(0.0), trained(0.0), trained(known), trained(known)


def brute_force(f: np.ndarray, r: np.ndarray, o: np.ndarray, h: float) -> float:
    return float(rbf(r, r, h).mean() - 2 * rbf(f, r, h).mean() - rbf(o, o, h).mean() + 2 * rbf(f, o, h).mean())


def test_exchanging_points_changes_only_signs_of_terms() -> None:
    r, f, o, _ = models(0, 1.0, n=12)
    between = Between.of(r, o)
    to_r, to_o = rbf(f, r, between.bandwidth), rbf(f, o, between.bandwidth)
    terms = (between.rows - 2 * (to_r.mean(axis=0) - to_o.mean(axis=0))) / len(f)
    rng = np.random.default_rng(0)
    for _ in range(20):
        swap = rng.random(len(f)) < 0.5
        these, those = np.where(swap[:, None], o, r), np.where(swap[:, None], r, o)
        assert np.where(swap, -terms, terms).sum() == pytest.approx(brute_force(f, these, those, between.bandwidth))


def test_the_references_themselves_are_at_the_ends_of_the_scale() -> None:
    r, _, o, _ = models(0, 2.0)
    between = Between.of(r, o)
    assert between.test(r).share == pytest.approx(0, abs=1e-6)
    assert between.test(o).share == pytest.approx(1, abs=1e-6)
    assert (between.test(r).verdict, between.test(o).verdict) == ("Retrain", "Original")


def test_where_original_and_retrain_are_exchangeable_the_level_is_five_percent_on_either_side() -> None:
    found = []
    for seed in range(300):
        r, f, o, _ = models(seed, 0.0, n=40)
        found.append(Between.of(r, o).test(f))
    for name in ("p_retrain", "p_original"):
        assert np.mean([getattr(one, name) < 0.05 for one in found]) == pytest.approx(0.05, abs=0.03)
    assert np.mean([one.share for one in found]) == pytest.approx(0.5, abs=0.02)


def test_where_there_is_something_to_forget_honest_retrains_pass_and_originals_fail() -> None:
    retrains, originals = [], []
    for seed in range(100):
        r, other, o, another = models(seed, 2.0)
        between = Between.of(r, o)
        retrains.append(between.test(other).verdict)
        originals.append(between.test(another).verdict)
    assert verdict_rate(retrains, "Retrain").found >= 94
    assert verdict_rate(originals, "Original").found >= 95


def test_trainings_that_differ_in_confidence_leave_the_rates_above_their_goals() -> None:
    retrains, originals = [], []
    for seed in range(200):
        r, other, o, another = models(seed, 2.0, confidence=0.15)
        between = Between.of(r, o)
        retrains.append(between.test(other).verdict)
        originals.append(between.test(another).verdict)
    rates = verdict_rate(retrains, "Retrain"), verdict_rate(originals, "Original")
    assert rates[0].found >= 0.94 * rates[0].n, str(rates[0])
    assert rates[1].found >= 0.95 * rates[1].n, str(rates[1])


def against_unseen(seeds: int, known: float):
    """Verdicts on independent Retrains and Originals, compared with unseen utterances."""
    retrains, originals = [], []
    for seed in range(seeds):
        r, other, o, another = models(seed, known, confidence=0.15, unseen=75)
        between = Between.of(r[:75], o[:75])
        for found, model in ((retrains, other), (originals, another)):
            sides = [tuple(points[side] for points in (model, r, o)) for side in (slice(75), slice(75, None))]
            found.append(between.test_against_unseen(*sides))
    return retrains, originals


def test_against_unseen_utterances_the_level_holds_where_there_is_nothing_to_forget() -> None:
    retrains, originals = against_unseen(200, 0.0)
    for name in ("p_retrain", "p_original"):
        wrong = [getattr(one, name) < 0.05 for one in (*retrains, *originals)]
        assert np.mean(wrong) == pytest.approx(0.05, abs=0.03)


def test_against_unseen_utterances_both_goals_are_met_and_no_verdict_is_wrong() -> None:
    retrains, originals = ([one.verdict for one in found] for found in against_unseen(100, 2.0))
    assert verdict_rate(retrains, "Retrain").found >= 94
    assert verdict_rate(originals, "Original").found >= 95
    assert verdict_rate(retrains, "Original").found == verdict_rate(originals, "Retrain").found == 0


def test_few_pairs_have_no_verdict_against_unseen_utterances() -> None:
    r, f, o, _ = models(0, 2.0)
    few, enough = (tuple(points[:size] for points in (f, r, o)) for size in (9, 10))
    between = Between.of(r, o)
    assert between.test_against_unseen(few, few).verdict == ""
    assert between.test_against_unseen(enough, enough).verdict == "neither"
    assert between.test_against_unseen(enough, enough).excess == 0


def test_a_rate_has_its_exact_interval_and_leaves_out_what_was_not_tested() -> None:
    rate = verdict_rate(["Retrain"] * 15 + ["neither", ""], "Retrain")
    assert (rate.found, rate.n) == (15, 16)
    assert str(rate) == "15 of 16 (95 % interval 70 to 100 %)"
    assert str(verdict_rate([""], "Retrain")) == "none of 0"


def test_few_utterances_and_diverged_models_have_no_verdict() -> None:
    r, f, o, _ = models(0, 2.0, n=9)
    assert Between.of(r, o).test(f).verdict == ""
    r, f, o, _ = models(0, 2.0)
    assert Between.of(r, o).test(np.full_like(f, np.nan)).verdict == ""
    assert Between.of(r, r).test(r).verdict == "neither"
    with pytest.raises(ValueError, match="same utterances"):
        Between.of(r, o[:5])


def test_larger_sets_are_cut_to_the_same_two_thousand_utterances() -> None:
    rng = np.random.default_rng(0)
    r, o = rng.normal(size=(2_300, 2)), rng.normal(0.5, 1, size=(2_300, 2))
    between = Between.of(r, o)
    assert len(between.rows) == 2_000
    assert between.test(r).share == pytest.approx(0, abs=1e-6)
