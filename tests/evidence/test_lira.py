"""U-LiRA on Gaussian shadow models, whose likelihood ratio has a closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from orchestrator.evidence.lira import u_lira
from orchestrator.evidence.roc import auc


def shadows(seed: int, models: int, utterances: int, mean: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1, (models, utterances))


def test_with_many_models_the_score_is_the_likelihood_ratio_of_the_true_gaussians() -> None:
    # Equal unit variances, means 1 and 0: log ratio = φ − ½.
    target = np.linspace(-2, 3, 11)
    score = u_lira(target, shadows(0, 20_000, 11, 1.0), shadows(1, 20_000, 11, 0.0))
    assert score == pytest.approx(target - 0.5, abs=0.15)


@pytest.mark.parametrize("models", [8, 400])  # a pooled variance, and one an utterance
def test_its_auc_on_shifted_models_is_the_closed_one(models: int) -> None:
    unlearned, retrained = shadows(0, models, 3000, 1.0), shadows(1, models, 3000, 0.0)
    members = u_lira(shadows(2, 1, 3000, 1.0)[0], unlearned, retrained)
    others = u_lira(shadows(3, 1, 3000, 0.0)[0], unlearned, retrained)
    ideal = norm.cdf(1 / math.sqrt(2))
    assert auc(members, others).value == pytest.approx(ideal, abs=0.03 if models == 400 else 0.06)
    assert np.mean(members > 0) == pytest.approx(norm.cdf(0.5), abs=0.05)


def test_models_that_unlearned_exactly_are_not_told_from_retrained_ones() -> None:
    unlearned, retrained = shadows(0, 4, 1000, 0.0), shadows(1, 4, 1000, 0.0)
    found = auc(*(u_lira(shadows(seed, 1, 1000, 0.0)[0], unlearned, retrained) for seed in (2, 3)))
    assert found.low < 0.5 < found.high


def test_utterances_with_fewer_than_two_shadow_models_of_a_kind_have_no_score() -> None:
    unlearned, retrained = shadows(0, 3, 5, 1.0), shadows(1, 3, 5, 0.0)
    unlearned[:2, 0] = np.nan
    score = u_lira(np.zeros(5), unlearned, retrained)
    assert np.isnan(score).tolist() == [True, False, False, False, False]
