"""The most memorized utterances are those that Original alone knows."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.evidence.roc import auc
from orchestrator.evidence.vulnerable import most_memorized


def known(seed: int, memorized: int):
    """φ on 200 utterances of D_f under Original, two references and another Retrain: ease is shared, noise is not."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(0, 2, 200)
    original, *others = (ease + rng.normal(0, 0.3, 200) for _ in range(4))
    original[:memorized] += 4.0
    return original, np.stack(others[:2]), others[2]


def test_planted_memorized_utterances_are_picked() -> None:
    original, references, _ = known(0, 20)
    assert most_memorized(original, references).tolist() == list(range(20))


def test_what_original_kept_of_them_shows_where_the_average_hides_it() -> None:
    original, references, _ = known(0, 20)
    others = np.random.default_rng(1).normal(0, 2, 200)
    picked = most_memorized(original, references)
    assert auc(original[picked], others).value > auc(original, others).value + 0.2


def test_a_retrain_that_is_no_reference_is_at_chance_on_them() -> None:
    found = []
    for seed in range(60):
        original, references, another = known(seed, 0)
        picked = most_memorized(original, references)
        found.append(auc(another[picked], np.random.default_rng(seed).normal(0, 2, 200)).value)
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)


def test_without_references_or_utterances_there_are_none() -> None:
    original, references, _ = known(0, 20)
    assert len(most_memorized(original, references[:0])) == 0
    assert len(most_memorized(original[:9], references[:, :9])) == 0
    assert len(most_memorized(original[:30], references[:, :30])) == 10
