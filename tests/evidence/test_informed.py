"""Knowing other models of the method finds traces that no threshold does, and nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.evidence.informed import FEWEST, Side, informed_attack, output_features
from orchestrator.evidence.roc import auc


def sides(seed: int, pushed: bool, n: int = 60):
    """Features of a model: where `pushed`, D_f has entropy off the curve that loss gives, by a bent rule."""
    rng = np.random.default_rng(seed)

    def side(member: bool) -> Side:
        loss = rng.normal(size=n)
        bent = loss + 0.5 * rng.normal(size=n) + (1.0 if member and pushed else 0.0)
        return Side(np.stack([loss, bent, -loss], axis=1), np.array([f"{seed}-{member}-{place}" for place in range(n)]))

    return side(True), side(False)


def same_utterances(seed: int, models: int = 5, n: int = 40):
    """Every model has the same D_f and non-members, whose features tell the utterance and nothing of membership."""
    rng = np.random.default_rng(seed)
    peculiar = [rng.normal(size=(n, 3)) for _ in range(2)]
    names = [np.array([f"{side}-{place}" for place in range(n)]) for side in range(2)]
    return [
        tuple(Side(own + 0.1 * rng.normal(size=(n, 3)), ids) for own, ids in zip(peculiar, names, strict=True))
        for _ in range(models)
    ]


def test_what_a_method_leaves_is_found_through_its_other_models() -> None:
    own, others = sides(0, True), [sides(seed, True) for seed in (1, 2, 3)]
    found = informed_attack(own, others)
    assert found.low > 0.7
    assert found.value > auc(own[0].features[:, 0], own[1].features[:, 0]).value + 0.2  # the loss alone shows nothing


def test_it_is_at_chance_where_nothing_is_left() -> None:
    found = [informed_attack(sides(4 * s, False), [sides(4 * s + k, False) for k in (1, 2, 3)]) for s in range(30)]
    assert np.mean([f.value for f in found]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([f.low <= 0.5 <= f.high for f in found]) > 0.85


def test_models_that_forgot_the_same_utterances_teach_nothing_about_them() -> None:
    found = [informed_attack(own, others) for own, *others in map(same_utterances, range(40))]
    assert np.mean([f.value for f in found]) == pytest.approx(0.5, abs=0.04)  # 0.60 where they are fitted on
    assert np.mean([f.low <= 0.5 <= f.high for f in found]) > 0.85


def test_without_other_models_or_with_few_utterances_there_is_no_figure() -> None:
    assert np.isnan(informed_attack(sides(0, True), []).value)
    assert np.isnan(informed_attack(sides(0, True, FEWEST - 1), [sides(1, True)]).value)
    own = sides(0, True)
    own[0].features[0, 0] = np.nan
    assert np.isnan(informed_attack(own, [sides(1, True)]).value)


def test_features_are_loss_entropy_and_margin_in_bounds(outputs_of) -> None:
    found = output_features(outputs_of(np.array([[0.0, 0.0], [500.0, 0.0], [0.0, 2.0]]), np.array([0, 1, 1])))
    assert found[0] == pytest.approx([np.log(2), np.log(2), 0.0])
    assert found[1] == pytest.approx([100.0, 0.0, -100.0])  # cut
    assert found[2, 2] == pytest.approx(2.0)
