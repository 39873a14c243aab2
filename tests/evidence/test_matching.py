"""Matched pairs are of one class and alike in length; then length alone is no sign of membership."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.evidence.matching import CALIPER, matched_by_covariates
from orchestrator.evidence.roc import auc


def recordings(seed: int, member: float):
    """D_f is longer by one standard deviation, and longer recordings are easier; members get `member` in addition."""
    rng = np.random.default_rng(seed)
    mine, theirs = rng.normal(1, 1, (150, 1)), rng.normal(0, 1, (150, 1))
    scores = [covariates[:, 0] + rng.normal(0, 0.5, 150) for covariates in (mine, theirs)]
    labels = [rng.integers(0, 3, 150) for _ in range(2)]
    return mine, theirs, labels, (scores[0] + member, scores[1])


def attack(seed: int, member: float):
    mine, theirs, labels, scores = recordings(seed, member)
    kept, others = matched_by_covariates(mine, theirs, *labels, np.random.default_rng(0))
    return auc(*scores).value, auc(scores[0][kept], scores[1][others]).value


def test_length_alone_looks_like_membership_until_it_is_matched() -> None:
    plain, matched = np.mean([attack(seed, 0.0) for seed in range(20)], axis=0)
    assert plain > 0.7
    assert matched == pytest.approx(0.5, abs=0.04)


def test_membership_is_still_found_among_matched_pairs() -> None:
    assert np.mean([attack(seed, 1.0)[1] for seed in range(5)]) > 0.65


def test_pairs_are_of_one_class_within_the_caliper_and_nobody_is_used_twice() -> None:
    mine, theirs, labels, _ = recordings(0, 0.0)
    kept, others = matched_by_covariates(mine, theirs, *labels, np.random.default_rng(0))
    assert len(kept) == len(others) > 50
    assert labels[0][kept].tolist() == labels[1][others].tolist()
    assert np.abs(mine[kept] - theirs[others]).max() <= CALIPER * np.concatenate([mine, theirs]).std()
    assert len(set(kept)) == len(kept)
    assert len(set(others)) == len(others)


def test_sets_without_a_common_class_have_no_pairs() -> None:
    kept, others = matched_by_covariates(
        np.zeros((3, 1)), np.zeros((3, 1)), np.zeros(3, int), np.ones(3, int), np.random.default_rng(0)
    )
    assert len(kept) == len(others) == 0
