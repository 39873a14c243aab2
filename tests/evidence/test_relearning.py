"""Memorization recovery at its known points."""

from __future__ import annotations

import math

import pytest

from orchestrator.evidence.relearning import epochs_to_reach, excess, recovery, relearning_delay


def test_recovery_is_the_share_of_the_lost_accuracy_that_came_back() -> None:
    assert recovery(after=0.5, unlearned=0.5, original=0.9) == 0.0
    assert recovery(after=0.9, unlearned=0.5, original=0.9) == 1.0
    assert recovery(after=0.7, unlearned=0.5, original=0.9) == pytest.approx(0.5)


def test_where_nothing_was_lost_nothing_can_be_recovered() -> None:
    assert math.isnan(recovery(after=0.9, unlearned=0.9, original=0.9))
    assert math.isnan(recovery(after=0.9, unlearned=0.95, original=0.9))
    assert math.isnan(recovery(after=math.nan, unlearned=0.5, original=0.9))


def test_what_retain_data_alone_bring_back_is_no_memory() -> None:
    assert excess(recovered=0.8, retrained=0.3) == pytest.approx(0.5)


def test_a_curve_reaches_a_level_between_the_epochs_around_it() -> None:
    assert epochs_to_reach([0.2, 0.4, 0.8], 0.6) == pytest.approx(1.5)
    assert epochs_to_reach([0.7, 0.9], 0.6) == 0
    assert epochs_to_reach([0.2, 0.6], 0.6) == 1
    assert math.isinf(epochs_to_reach([0.2, 0.4], 0.6))
    assert math.isnan(epochs_to_reach([0.2, math.nan, 0.9], 0.6))


def test_what_is_remembered_comes_back_sooner_than_in_retrain_and_what_is_not_at_the_same_time() -> None:
    remembered, retrained = [0.1, 0.95, 0.95], [0.1, 0.5, 0.95]
    assert relearning_delay(remembered, retrained, 1.0) == -1
    assert relearning_delay(retrained, retrained, 1.0) == 0


def test_a_curve_that_never_gets_there_bounds_the_delay() -> None:
    slow, fast = [0.1, 0.2, 0.3], [0.1, 0.95, 1.0]
    assert relearning_delay(fast, slow, 1.0) == -2  # three epochs at least, minus one
    assert relearning_delay(slow, fast, 1.0) == 2
    assert math.isnan(relearning_delay(slow, slow, 1.0))
