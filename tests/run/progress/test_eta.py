from __future__ import annotations

import pytest

from orchestrator.run.progress.eta import Medians, Remaining, Started, remaining

FAST, SLOW = ("unlearn", "t", "b", "standard", "scrub"), ("retrain", "t", "b", "standard", "retrain")
PLAN = {FAST: 10.0, SLOW: 100.0}


def test_without_a_finished_trial_the_estimates_of_the_plan_count_and_are_marked():
    found = remaining({FAST: 6, SLOW: 1}, [], {}, PLAN, slots=1)
    assert found == Remaining(160.0, measured=False)
    assert str(found) == "about 3 minutes left (estimated)"


def test_a_finished_trial_of_a_kind_replaces_its_estimate():
    assert remaining({FAST: 6}, [], {FAST: 5.0}, PLAN, slots=1) == Remaining(30.0, measured=True)
    assert str(Remaining(30.0, measured=True)) == "about 30 seconds left"


def test_a_kind_without_a_finished_trial_keeps_the_mark_until_none_of_it_is_left():
    assert not remaining({FAST: 6, SLOW: 1}, [], {FAST: 5.0}, PLAN, slots=1).measured
    assert not remaining({FAST: 6}, [Started(SLOW, 1.0)], {FAST: 5.0}, PLAN, slots=1).measured
    assert remaining({FAST: 6, SLOW: 0}, [], {FAST: 5.0}, PLAN, slots=1).measured


def test_trials_at_once_share_the_work_but_not_a_single_trial():
    assert remaining({FAST: 6}, [], {}, PLAN, slots=3).seconds == 20.0
    assert remaining({FAST: 6, SLOW: 1}, [], {}, PLAN, slots=100).seconds == 100.0


def test_what_a_running_trial_has_done_counts_and_a_late_one_owes_nothing():
    assert remaining({}, [Started(SLOW, 30.0)], {}, PLAN, slots=2).seconds == 70.0
    assert remaining({FAST: 1}, [Started(SLOW, 1e6)], {}, PLAN, slots=1).seconds == 10.0


def test_epochs_that_take_longer_than_expected_count():
    assert remaining({}, [Started(FAST, 30.0, share_done=0.25)], {}, PLAN, slots=1).seconds == 90.0
    assert remaining({}, [Started(SLOW, 1.0, share_done=0.5)], {}, PLAN, slots=1).seconds == 99.0


def test_estimates_are_scaled_by_how_measured_kinds_compare_with_theirs():
    found = remaining({SLOW: 1}, [], {FAST: 30.0}, PLAN, slots=1)
    assert found == Remaining(300.0, measured=False)


def test_at_the_end_nothing_is_left():
    assert remaining({}, [], {}, PLAN, slots=2) == Remaining(0, measured=True)
    assert str(Remaining(0.4, measured=False)) == "almost done"


def test_own_trials_count_before_those_of_earlier_launches():
    medians = Medians({FAST: 1.0, SLOW: 2.0})
    for seconds in (7.0, 3.0, 5.0):
        medians.add(FAST, seconds)
    assert medians.by_kind == pytest.approx({FAST: 5.0, SLOW: 2.0})
