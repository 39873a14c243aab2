"""Learning-rate schedules."""

from __future__ import annotations

import pytest

from methods.engine.schedule import learning_rate_factor


def test_the_learning_rate_warms_up_and_decays_linearly():
    factors = [learning_rate_factor(step, 10, "linear", 0.2) for step in range(10)]
    assert factors[:2] == [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert factors[2:] == [pytest.approx((10 - s) / 8) for s in range(2, 10)]
    assert learning_rate_factor(7, 10, "constant", 0.0) == 1.0
