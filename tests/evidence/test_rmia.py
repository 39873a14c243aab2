"""RMIA against its definition written as loops, and on populations with a known answer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from orchestrator.evidence.rmia import rmia
from orchestrator.evidence.roc import auc


def by_loops(target, references, population, population_references, a, gamma) -> list[float]:
    def ratio(p, of_references):
        kept = [value for value in of_references if not math.isnan(value)]
        return p / (0.5 * ((1 + a) * sum(kept) / len(kept) + (1 - a)))

    others = [ratio(p, population_references[:, i]) for i, p in enumerate(population)]
    return [
        sum(ratio(p, references[:, i]) / other > gamma for other in others) / len(others) for i, p in enumerate(target)
    ]


@pytest.mark.parametrize(("models", "a", "gamma"), [(1, 0.3, 1.0), (4, 0.0, 1.0), (3, 1.0, 2.0)])
def test_scores_are_the_definition_written_as_loops(models: int, a: float, gamma: float) -> None:
    rng = np.random.default_rng(0)
    target, population = rng.uniform(size=30), rng.uniform(size=50)
    references, of_population = rng.uniform(size=(models, 30)), rng.uniform(size=(models, 50))
    references[0, 3:6] = np.nan if models > 1 else references[0, 3:6]
    expected = by_loops(target, references, population, of_population, a, gamma)
    assert rmia(target, references, population, of_population, a=a, gamma=gamma) == pytest.approx(expected)


def test_an_utterance_that_every_reference_was_trained_on_has_no_score() -> None:
    scores = rmia(np.array([0.5, 0.5]), np.array([[np.nan, 0.5]]), np.array([0.2]), np.array([[0.9]]))
    assert math.isnan(scores[0])
    assert scores[1] == 1.0


def test_members_that_are_hard_for_everyone_are_found_where_a_threshold_fails() -> None:
    # p_y is the utterance's ease, a little more where it was trained on: ease swamps it, the references take ease out.
    rng = np.random.default_rng(0)
    ease = rng.uniform(0.2, 0.8, 1200)
    members, others, population = np.split(np.arange(1200), 3)
    target = ease + np.where(np.arange(1200) < 400, 0.1, 0.0) + rng.normal(0, 0.01, 1200)
    reference = (ease + rng.normal(0, 0.01, 1200))[None]
    attack = [
        rmia(target[p], reference[:, p], target[population], reference[:, population], a=1) for p in (members, others)
    ]
    assert auc(*attack).value > 0.95
    assert auc(target[members], target[others]).value < 0.75


def test_a_target_like_its_references_tells_nothing() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.1, 0.9, (3, 900))
    members, others, population = np.split(np.arange(900), 3)
    scores = [rmia(p[0, at], p[1:, at], p[0, population], p[1:, population]) for at in (members, others)]
    found = auc(*scores)
    assert found.low < 0.5 < found.high


def test_settings_out_of_range_and_an_empty_population_are_refused() -> None:
    one = np.array([0.5])
    with pytest.raises(ValueError, match="got 2"):
        rmia(one, one[None], one, one[None], a=2)
    with pytest.raises(ValueError, match="got 0"):
        rmia(one, one[None], one, one[None], gamma=0)
    with pytest.raises(ValueError, match="got none"):
        rmia(one, one[None], np.empty(0), np.empty((1, 0)))
