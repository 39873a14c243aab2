"""Learning-rate schedules."""

from __future__ import annotations

import pytest

from methods.engine.schedule import epoch_factor, learning_rate_factor


def test_the_learning_rate_warms_up_and_decays_linearly():
    factors = [learning_rate_factor(step, 10, "linear", 0.2) for step in range(10)]
    assert factors[:2] == [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert factors[2:] == [pytest.approx((10 - s) / 8) for s in range(2, 10)]
    assert learning_rate_factor(7, 10, "constant", 0.0) == 1.0


def test_a_falling_rate_is_constant_within_an_epoch_and_falls_by_equal_steps():
    factors = [learning_rate_factor(step, 8, "falling", 0.0, step // 2, 4) for step in range(8)]
    assert factors == [1, 1, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25]
    assert [epoch_factor("falling", e, 4) for e in range(4)] == factors[::2]
    assert epoch_factor("constant", 3, 4) == 1
