"""Distances between outputs, against SciPy, closed forms and their bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import norm

from orchestrator.evidence.distances import (
    js_divergence,
    ks_distance,
    loss_distance,
    output_divergence,
    streisand,
    zrf,
)
from orchestrator.evidence.outputs import NO_CLASS, Outputs


def draw(seed: int, n: int = 40, classes: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(classes), n)


def summarized(outputs: Outputs) -> Outputs:
    """As if only the top five classes and the label were stored."""
    top = np.argsort(-outputs.log_probabilities, axis=1)[:, :5]
    among = (top == outputs.labels[:, None]).any(axis=1)
    log_p = np.take_along_axis(outputs.log_probabilities, top, axis=1)
    own = np.where(among, -np.inf, outputs.label_log_probability)
    classes = np.column_stack([top, np.where(among, NO_CLASS, outputs.labels)])
    changed = {"classes": classes, "log_probabilities": np.column_stack([log_p, own]), "complete": False}
    return Outputs(**{**vars(outputs), **changed})


def test_js_is_the_square_of_scipys_distance() -> None:
    p, q = draw(0), draw(1)
    assert js_divergence(p, q) == pytest.approx([jensenshannon(a, b) ** 2 for a, b in zip(p, q, strict=True)])


def test_js_is_zero_for_equals_and_ln_two_for_disjoint_ones() -> None:
    p = draw(0)
    assert js_divergence(p, p) == pytest.approx(0.0, abs=1e-12)
    assert js_divergence(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])) == pytest.approx([math.log(2)])
    with pytest.raises(ValueError, match=r"got \(40, 12\) and \(40, 5\)"):
        js_divergence(p, draw(0, classes=5))


def test_js_of_summaries_is_a_lower_bound(outputs_of) -> None:
    labels = np.random.default_rng(2).integers(0, 80, 40)
    a, b = (outputs_of(np.log(draw(seed, classes=80)), labels) for seed in (0, 1))
    whole, short = output_divergence(a, b), output_divergence(summarized(a), summarized(b))
    assert (short <= whole + 1e-12).all()
    assert short.max() > 0
    assert output_divergence(summarized(a), summarized(a)) == pytest.approx(0.0, abs=1e-12)


def test_outputs_of_other_utterances_are_refused(outputs_of) -> None:
    labels = np.zeros(40, dtype=np.int64)
    a = outputs_of(np.log(draw(0)), labels)
    with pytest.raises(ValueError, match="same utterances"):
        output_divergence(a, a.where(np.arange(40)[::-1]))


def test_ks_of_shifted_gaussians_is_the_known_one() -> None:
    rng = np.random.default_rng(0)
    found = ks_distance(rng.normal(0, 1, 20_000), rng.normal(1, 1, 20_000))
    assert found == pytest.approx(norm.cdf(0.5) - norm.cdf(-0.5), abs=0.015)


def test_ks_is_the_largest_step_between_two_staircases() -> None:
    these, those = np.random.default_rng(0).normal(size=(2, 30))
    points = np.concatenate([these, those])
    gaps = [abs(np.mean(these <= x) - np.mean(those <= x)) for x in points]
    assert ks_distance(these, those) == pytest.approx(max(gaps))
    assert math.isnan(ks_distance(these, np.empty(0)))


def test_zrf_is_one_for_a_model_as_ignorant_as_the_random_one_and_least_for_its_opposite() -> None:
    assert zrf([(draw(0), draw(0))]) == pytest.approx(1.0)
    assert zrf([(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))]) == pytest.approx(1 - math.log(2))
    assert math.isnan(zrf([]))


def test_streisand_of_retrain_itself_is_nothing_and_of_a_shift_the_shift() -> None:
    confidence = np.random.default_rng(0).uniform(0.3, 0.6, 1000)
    own, lower = streisand(confidence, confidence), streisand(confidence - 0.2, confidence)
    assert (own.wasserstein, own.shift, own.below) == pytest.approx((0.0, 0.0, 0.05))
    assert (lower.wasserstein, lower.shift) == pytest.approx((0.2, -0.2))
    assert lower.below > 0.6


def test_losses_that_are_larger_by_a_constant_are_that_far_away() -> None:
    losses = np.random.default_rng(0).exponential(size=50)
    assert loss_distance(losses, losses) == 0
    assert loss_distance(losses, losses + 0.3) == pytest.approx(0.3)
    assert loss_distance(np.array([0.0]), np.array([np.inf])) == 100  # cut
    assert math.isnan(loss_distance(losses, losses[:0]))
    assert math.isnan(loss_distance(losses, np.array([np.nan])))


def test_a_set_with_other_shares_of_the_classes_is_no_further_away_for_that() -> None:
    rng = np.random.default_rng(0)
    mine, theirs = rng.choice(2, 4_000, p=[0.9, 0.1]), rng.choice(3, 4_000, p=[0.1, 0.6, 0.3])
    losses, others = (np.array([0.0, 3.0, 9.0])[labels] + rng.normal(size=4_000) for labels in (mine, theirs))
    assert loss_distance(losses, others) > 2
    assert loss_distance(losses, others, mine, theirs) < 0.15
    assert math.isnan(loss_distance(losses, others, mine, np.full(4_000, 2)))
