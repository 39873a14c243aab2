"""The linear probe on embeddings with and without a direction to find."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from orchestrator.evidence.probing import linear_probe


def test_a_class_on_a_direction_is_found_as_well_as_the_direction_allows() -> None:
    rng, wanted = np.random.default_rng(0), np.repeat([True, False], [400, 1600])
    embeddings = rng.normal(size=(2000, 8))
    embeddings[:, 3] += 1.5 * wanted
    probe = linear_probe(embeddings, wanted, seed=0)
    assert probe.auc == pytest.approx(norm.cdf(1.5 / math.sqrt(2)), abs=0.03)
    assert (probe.positives, probe.negatives) == (400, 1600)


def test_a_class_without_a_direction_is_not_found() -> None:
    rng = np.random.default_rng(0)
    probe = linear_probe(rng.normal(size=(1000, 8)), rng.random(1000) < 0.3, seed=0)
    assert abs(probe.auc - 0.5) < 0.08


def test_too_few_utterances_and_broken_embeddings_are_not_probed() -> None:
    wanted = np.repeat([True, False], [4, 50])
    assert math.isnan(linear_probe(np.zeros((54, 2)), wanted, seed=0).auc)
    assert math.isnan(linear_probe(np.full((60, 2), np.nan), np.repeat([True, False], 30), seed=0).auc)
