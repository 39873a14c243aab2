from __future__ import annotations

import pytest

from orchestrator.plan.explain import Difference, explain, fields_of, planned_trial, rates_of
from orchestrator.plan.grid import build_grid
from orchestrator.plan.spec import TrialSpec, canonical
from orchestrator.plan.sweep_schema import Sweep


def trials(**changes) -> list[TrialSpec]:
    values = {
        "name": "t",
        "tasks": [{"name": "espeak_keywords", "clips": 240}],
        "backbones": ["logmel_cnn"],
        "unlearning": [{"kind": "sample", "forget_ratio": [0.01, 0.05]}],
        "methods": ["original", "retrain", "scrub"],
        "seeds": [0, 1],
    }
    return build_grid(Sweep.model_validate({**values, **changes})).trials


def rows(specs: list[TrialSpec]) -> list[dict]:
    return [
        {"trial_id": s.trial_id, "status": "done", "stage": s.stage, "recipe": canonical(s.recipe())} for s in specs
    ]


def scrub(specs: list[TrialSpec]) -> TrialSpec:
    return next(spec for spec in specs if spec.method_name == "scrub")


def test_a_changed_setting_is_the_one_field_that_differs():
    changed = scrub(trials(methods=["original", "retrain", {"name": "scrub", "epochs": 7}]))
    found = explain(changed, rows(trials()))
    assert found.closest_id == scrub(trials()).trial_id
    assert found.differences == (Difference("method.settings.epochs", "7", "3"),)
    assert found.status is None


def test_a_change_of_the_original_names_its_field_before_the_ids_that_follow():
    changed = scrub(trials(training={"batch_size": 7}))
    found = explain(changed, rows(trials()))
    names = [difference.field for difference in found.differences]
    assert names == ["training.batch_size", "parents.original"]


def test_a_trial_that_is_there_says_so():
    specs = trials()
    assert explain(specs[-1], rows(specs)).status == "done"


def test_only_finished_trials_of_the_same_stage_that_say_what_they_were_made_from_are_compared():
    specs = trials()
    others = rows([spec for spec in specs if spec.stage != "unlearn"])
    failed = [{**row, "status": "failed"} for row in rows(specs)]
    old = [{**row, "recipe": None} for row in rows(specs)]
    changed = scrub(trials(precision="bf16"))
    assert explain(changed, [*others, *failed, *old]).closest_id is None


def test_a_field_that_only_one_recipe_has_is_shown_as_missing():
    changed = scrub(trials(methods=["original", "retrain", {"name": "scrub", "superloss": {"tau": "global"}}]))
    found = {d.field: d for d in explain(changed, rows(trials())).differences}
    assert found["superloss"].here is None
    assert found["superloss"].there == "null"
    assert found["superloss.tau"].there is None


def test_a_recipe_becomes_one_level():
    assert fields_of({"a": {"b": 1, "c": {}}, "d": [1, {"e": 2}]}) == {"a.b": "1", "a.c": "{}", "d": '[1,{"e":2}]'}


def test_a_trial_is_found_by_the_beginning_of_its_id():
    specs = trials()
    assert planned_trial(specs, specs[3].trial_id[:14]) is specs[3]
    with pytest.raises(ValueError, match="No trial of this sweep has an id that starts with 'xyz'"):
        planned_trial(specs, "xyz")
    with pytest.raises(ValueError, match=r"trials have an id that starts with ''\. Give more digits of one of"):
        planned_trial(specs, "")


def test_a_trial_says_what_its_automatic_rate_is():
    methods = ["retrain", {"name": "scrub", "rate_share": 0.25}]
    assert rates_of(scrub(trials(methods=methods, training={"learning_rate": 2e-3}))) == [
        "learning_rate is rate_share 0.25 of its original's 0.002 = 0.0005"
    ]
    searched = {"study": {"trials": 2, "learning_rate": [1e-4, 1e-3]}}
    assert rates_of(scrub(trials(methods=methods, training=searched))) == [
        "learning_rate is rate_share 0.25 of the rate that a search chooses for its original"
    ]
    assert rates_of(scrub(trials(methods=["retrain", {"name": "scrub", "learning_rate": 0.1}]))) == []
