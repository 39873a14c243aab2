"""Sequences of requests: each trial starts from the previous one."""

from __future__ import annotations

import json

from small_sweep import ids, sequence, sweep

from orchestrator.plan.grid import build_grid
from orchestrator.plan.spec import TrialSpec

SMALL_STEP = {"kind": "sample", "forget_ratio": 0.02}


def test_each_variant_has_a_trial_for_each_request_which_starts_from_the_previous_one():
    grid = build_grid(sequence(SMALL_STEP, SMALL_STEP, {"kind": "class"}, seeds=[0]))
    stages = [spec.stage for spec in grid.trials]
    assert {stage: stages.count(stage) for stage in set(stages)} == {"train": 1, "retrain": 3, "unlearn": 6}
    original = grid.trials[0].trial_id
    scrub = [spec for spec in grid.trials if spec.method.name == "scrub"]
    assert [len(spec.before) for spec in scrub] == [0, 1, 2]
    assert [spec.starts_from for spec in scrub] == [original, scrub[0].trial_id, scrub[1].trial_id]
    assert [spec.is_start for spec in scrub] == [True, True, False]
    assert [spec.sequence["steps"] for spec in scrub] == [3, 3, 3]
    for spec in grid.trials:
        if spec.stage == "retrain" or spec.method.name == "original":  # D_r is the same in any order of requests
            assert "step" not in spec.parents
            assert not spec.is_start
    assert len({spec.retrain_id for spec in scrub}) == 3


def test_a_sequence_begins_with_the_trials_of_its_first_request_alone_and_can_be_extended():
    alone = ids(sweep(unlearning=[SMALL_STEP]))
    two, three = ids(sequence(SMALL_STEP, SMALL_STEP)), ids(sequence(SMALL_STEP, SMALL_STEP, {"kind": "class"}))
    assert set(alone) < set(two) < set(three)
    assert alone == ids(sequence(SMALL_STEP))
    both = build_grid(
        sweep(unlearning=[SMALL_STEP, {"kind": "sequence", "requests": [SMALL_STEP, SMALL_STEP]}], seeds=[0])
    )
    assert [spec.is_start for spec in both.trials if spec.method.name == "scrub"] == [True, False]


def test_what_was_forgotten_before_belongs_to_a_recipe_only_where_there_is_something():
    (first, second) = (
        s for s in build_grid(sequence(SMALL_STEP, SMALL_STEP, seeds=[0])).trials if s.method.name == "scrub"
    )
    assert set(first.recipe()) == {
        "spec_version", "evidence_version", "stage", "task", "backbone", "method", "seed", "original_seed", "training",
        "clip", "loop", "forget", "superloss", "budget", "parents", "study",
    }  # fmt: skip
    assert second.recipe()["before"] == [first.recipe()["forget"]]
    assert second.recipe()["parents"] == {**first.parents, "step": first.trial_id}


def test_a_sequence_survives_json():
    for spec in build_grid(sequence(SMALL_STEP, {"kind": "class"})).trials:
        again = TrialSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
        assert (again.trial_id, again.starts_from) == (spec.trial_id, spec.starts_from)
        assert [request.key for request in again.before] == [request.key for request in spec.before]


def test_a_sequence_with_a_request_that_does_not_fit_the_task_is_refused_as_a_whole():
    grid = build_grid(sequence(SMALL_STEP, {"kind": "mislabeled"}))
    assert grid.trials == []
    assert grid.refused[0].what == "espeak_keywords: sequence sample 0.02 > mislabeled"
    assert "label_noise" in grid.refused[0].reason
