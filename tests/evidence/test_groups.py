"""Accuracy by group, and the gap between groups."""

from __future__ import annotations

import math

import numpy as np

from orchestrator.evidence.groups import FEWEST, accuracy_of_groups, group_gap

GROUPS = np.repeat(["a", "b", "c", ""], [20, FEWEST, FEWEST - 1, 5])
CORRECT = np.concatenate([np.arange(20) < 15, np.arange(FEWEST) < 2, np.zeros(FEWEST - 1), np.ones(5)]).astype(bool)


def test_each_group_has_the_accuracy_of_its_utterances_and_those_without_a_group_count_nowhere() -> None:
    found = accuracy_of_groups(CORRECT, GROUPS)
    assert found == {"a": (0.75, 20), "b": (2 / FEWEST, FEWEST), "c": (0.0, FEWEST - 1)}


def test_the_gap_is_between_groups_that_are_large_enough() -> None:
    assert math.isclose(group_gap(accuracy_of_groups(CORRECT, GROUPS)), 0.75 - 2 / FEWEST)


def test_one_group_has_no_gap() -> None:
    assert math.isnan(group_gap(accuracy_of_groups(CORRECT[:20], GROUPS[:20])))
