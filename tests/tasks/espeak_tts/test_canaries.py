"""Canaries: planted ones and controls are drawn alike."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.tasks.espeak_tts.canaries import MOST, SECRET_DIGITS, about_canaries, draw_canaries


@pytest.mark.parametrize("count", [0, 1, MOST])
def test_there_are_as_many_controls_and_no_two_share_secret_or_prefix(count: int) -> None:
    canaries = draw_canaries(np.random.default_rng(0), count)
    assert [canary.planted for canary in canaries] == [True] * count + [False] * count
    for part in ("name", "secret", "prefix", "text"):
        assert len({getattr(canary, part) for canary in canaries}) == 2 * count
    assert all(len(canary.secret.split()) == SECRET_DIGITS for canary in canaries)
    assert list(about_canaries(canaries)) == [canary.name for canary in canaries]


def test_planted_and_control_secrets_have_the_same_distribution_of_digits() -> None:
    planted, control = [], []
    for seed in range(20):
        for canary in draw_canaries(np.random.default_rng(seed), MOST):
            (planted if canary.planted else control).extend(canary.secret.split())
    for digit in set(planted):
        assert abs(planted.count(digit) - control.count(digit)) < 5 * np.sqrt(2 * len(planted) / 10)
