"""Chosen removals harm others more than random ones do, and the check says so."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.evidence.harm import RIDGE, _standardized, _Sums, harm_of, harmful_order


def clouds(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Four classes around centers of their own, close enough to be confused."""
    labels = np.random.default_rng(seed).integers(4, size=count)
    centers = np.random.default_rng(7).normal(size=(4, 12))
    return centers[labels] + 1.5 * np.random.default_rng(seed + 1).normal(size=(count, 12)), labels


@pytest.fixture(scope="module")
def given():
    return (*clouds(300, 0), *clouds(200, 5))


def error_without(rows, x, labels, others, other_labels) -> float:
    """The squared error on others after a fit from scratch, with the ridge and scale of the fit on all."""
    mine, theirs = _standardized(x, others)
    kept = np.setdiff1d(np.arange(len(x)), rows)
    gram = mine[kept].T @ mine[kept] + RIDGE * len(x) * np.eye(mine.shape[1])
    weights = np.linalg.solve(gram, mine[kept].T @ np.eye(4)[labels[kept]])
    return float(np.mean(np.sum((theirs @ weights - np.eye(4)[other_labels]) ** 2, axis=1)))


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_chosen_removals_harm_more_than_any_of_many_random_ones(given, share) -> None:
    count, rng = round(share * 300), np.random.default_rng(1)
    chosen = error_without(harmful_order(*given, count), *given)
    assert chosen > max(error_without(rng.permutation(300)[:count], *given) for _ in range(100))


def test_the_first_is_among_those_whose_exact_removal_raises_the_error_most(given) -> None:
    rises = np.array([error_without([row], *given) for row in range(300)])
    assert harmful_order(*given, 1)[0] in np.argsort(-rises)[:3]


def test_a_shorter_order_is_a_prefix_and_no_utterance_comes_twice(given) -> None:
    order = harmful_order(*given, 300)
    assert sorted(order) == list(range(300))
    assert np.array_equal(harmful_order(*given, 50), order[:50])


def test_subtraction_is_a_fit_without_the_utterances(given) -> None:
    x, labels = given[0], given[1]
    rows = np.arange(40)
    sums = _Sums.over(x, labels, 4).without(x[rows], labels[rows])
    kept = np.arange(40, 300)
    direct = np.linalg.solve(x[kept].T @ x[kept] + RIDGE * 300 * np.eye(12), x[kept].T @ np.eye(4)[labels[kept]])
    assert np.allclose(np.linalg.solve(sums.gram, sums.by_class), direct)


@pytest.mark.parametrize("count", [1, 5, 40])  # fewer and more than features
def test_the_rise_is_that_of_a_fit_without_the_utterances(given, count) -> None:
    x, labels, others, other_labels = given
    rows = np.random.default_rng(2).permutation(300)[:count]
    ratio = error_without(rows, *given) / error_without([], *given)
    assert harm_of(x, labels, rows, others, other_labels, seed=0).rise == pytest.approx(ratio - 1, rel=1e-9)


def test_the_check_warns_of_chosen_requests_and_of_few_random_ones(given) -> None:
    x, labels, others, other_labels = given
    assert harm_of(x, labels, harmful_order(*given, 30), others, other_labels, seed=0).much
    rng = np.random.default_rng(3)
    random = [harm_of(x, labels, rng.permutation(300)[:30], others, other_labels, seed=s) for s in range(20)]
    assert sum(found.much for found in random) <= 1


def test_nothing_is_measured_without_others_or_with_broken_embeddings(given) -> None:
    x, labels, others, other_labels = given
    assert harm_of(x, labels, np.arange(3), others[:0], other_labels[:0], seed=0) is None
    assert harm_of(np.full_like(x, np.nan), labels, np.arange(3), others, other_labels, seed=0) is None
