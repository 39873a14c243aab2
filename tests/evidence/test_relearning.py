"""Memorization recovery at its known points."""

from __future__ import annotations

import math

import pytest

from orchestrator.evidence.relearning import excess, recovery


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
