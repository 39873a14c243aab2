"""Kinds of training multiply the grid; sweeps without them keep their ids."""

from __future__ import annotations

import json

import pytest

from orchestrator.plan.cost import estimate, trial_seconds
from orchestrator.plan.grid import build_grid
from orchestrator.plan.spec import TrialSpec
from orchestrator.plan.sweep_file import read_sweep
from orchestrator.plan.sweep_schema import Sweep, SweepError
from orchestrator.plan.tuned_settings import Choice, Lock, write_lock

THREE = ["standard", "closed_form_head", {"kind": "early_checkpoints", "keep_at": [0.5], "as": "half way"}]


def sweep(**changes) -> Sweep:
    values = {
        "name": "t",
        "tasks": [{"name": "espeak_keywords", "clips": 240}],
        "backbones": ["logmel_cnn"],
        "unlearning": [{"kind": "sample", "forget_ratio": 0.05}, {"kind": "class"}],
        "methods": ["original", "retrain", "scrub"],
        "seeds": [0],
    }
    return Sweep.model_validate({**values, **changes})


def by_title(made: Sweep) -> dict[str, list[TrialSpec]]:
    found: dict[str, list[TrialSpec]] = {}
    for spec in build_grid(made).trials:
        found.setdefault(spec.training_title, []).append(spec)
    return found


def test_each_training_has_its_own_originals_retrained_models_and_unlearning():
    found = by_title(sweep(training=THREE))
    assert list(found) == ["standard", "closed_form_head", "half way"]
    for specs in found.values():
        assert [spec.stage for spec in specs].count("train") == 1
        own = {spec.trial_id for spec in specs}
        assert len(specs) == 7
        assert all(set(spec.parents.values()) <= own and spec.retrain_id in {"", *own} for spec in specs)
    assert len({spec.trial_id for specs in found.values() for spec in specs}) == 21


def test_standard_training_is_no_part_of_a_recipe_however_it_is_written():
    plain, listed = by_title(sweep())["standard"], by_title(sweep(training=THREE))["standard"]
    said = by_title(sweep(training={"kind": "standard"}))["standard"]
    assert all("training_kind" not in spec.recipe() for spec in plain)
    assert [s.trial_id for s in plain] == [s.trial_id for s in listed] == [s.trial_id for s in said]


def test_a_kind_stands_in_the_recipe_with_its_settings_and_its_title():
    spec = by_title(sweep(training=THREE))["half way"][0]
    assert spec.recipe()["training_kind"] == {
        "name": "half way", "settings": {"keep_at": (0.5,)}, "version": 1, "content": "",
    }  # fmt: skip
    assert TrialSpec.from_dict(json.loads(json.dumps(spec.to_dict()))).trial_id == spec.trial_id


def test_the_epoch_that_is_kept_renames_trials_only_where_it_is_the_last():
    plain, best, last = (
        by_title(sweep(training={"epochs": 4, **kept}))["standard"]
        for kept in ({}, {"keep_epoch": "best"}, {"keep_epoch": "last"})
    )
    assert [s.trial_id for s in plain] == [s.trial_id for s in best]
    assert all("keep_epoch" not in json.dumps(s.recipe()) for s in plain)
    assert last[0].training["keep_epoch"] == "last"
    assert not {s.trial_id for s in plain} & {s.trial_id for s in last}


def test_overrides_of_tasks_and_backbones_apply_to_each_training():
    entries = [{"kind": "standard", "epochs": 4}, {"kind": "early_checkpoints", "epochs": 6, "batch_size": 8}]
    found = by_title(
        sweep(
            training=entries,
            tasks=[{"name": "espeak_keywords", "training": {"batch_size": 16}}],
            backbones=[{"name": "logmel_cnn", "training": {"learning_rate": 0.5}}],
        )
    )
    said = {title: specs[0].training for title, specs in found.items()}
    assert [(t["epochs"], t["batch_size"], t["learning_rate"]) for t in said.values()] == [(4, 16, 0.5), (6, 16, 0.5)]


def test_a_method_runs_where_training_keeps_what_it_reads_and_is_refused_once_elsewhere():
    grid = build_grid(sweep(training=THREE, methods=["retrain", "downdate", {"name": "rewind", "share": 0.5}]))
    ran = {(spec.training_title, spec.method_name) for spec in grid.trials if spec.stage == "unlearn"}
    assert ran == {("closed_form_head", "downdate"), ("half way", "rewind")}
    assert [refusal.what for refusal in grid.refused] == [
        "downdate after training standard", "rewind after training standard", "rewind after training closed_form_head",
        "downdate after training half way",
    ]  # fmt: skip
    assert "closed_form_head" in grid.refused[0].reason


def test_a_share_that_the_training_does_not_keep_is_refused():
    grid = build_grid(sweep(training=THREE[2:], methods=["rewind"]))
    assert "keep_at (0.5), got 0.4" in grid.refused[0].reason


def test_a_lock_entry_serves_every_training_unless_it_names_one(tmp_path):
    choices = (
        Choice("espeak_keywords", "logmel_cnn", "class", "scrub", False, {"learning_rate": 0.1}),
        Choice("espeak_keywords", "*", "class", "scrub", False, {"learning_rate": 0.2}, training="half way"),
    )
    write_lock(tmp_path / "l.yaml", Lock("rewind", 5, (1000,), choices))
    found = by_title(sweep(training=THREE, unlearning=[{"kind": "class"}], lock=str(tmp_path / "l.yaml")))
    rates = {
        title: spec.method.settings["learning_rate"]
        for title, specs in found.items()
        for spec in specs
        if spec.method_name == "scrub"
    }
    assert rates == {"standard": 0.1, "closed_form_head": 0.1, "half way": 0.2}


def test_models_that_no_folder_can_hold_are_not_kept_and_the_plan_says_so():
    grid = build_grid(sweep(training=THREE, keep_models="final"))
    kept = {spec.training_title for spec in grid.trials if spec.keep_model}
    assert kept == {"standard", "half way"}
    assert [refusal.what for refusal in grid.refused] == ["keep_models after training closed_form_head"]
    plain = [{"kind": "closed_form_head", "features": 0}]
    assert not build_grid(sweep(training=plain, keep_models="final")).refused


def test_what_a_training_costs_is_estimated_by_its_kind():
    first = {title: specs[0] for title, specs in by_title(sweep(training=THREE)).items()}
    assert trial_seconds(first["closed_form_head"]) < trial_seconds(first["standard"]) / 2
    cost = {title: estimate([spec], None).storage_bytes for title, spec in first.items()}
    assert cost["half way"] > 1.3 * cost["standard"]


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ([{"kind": "closed"}], "unknown training: got 'closed'.*allowed: closed_form_head"),
        ([{"kind": "early_checkpoints", "keep": [0.5]}], r"unknown setting of training early_checkpoints: got 'keep'"),
        ([{"kind": "early_checkpoints", "keep_at": "late"}], "setting 'keep_at' of training early_checkpoints"),
        ([{"kind": "closed_form_head", "as": "standard"}], "the title standard is only for standard training"),
    ],
)
def test_a_wrong_kind_or_setting_is_refused(training, message):
    with pytest.raises(ValueError, match=message):
        build_grid(sweep(training=training))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: [standard, {epochs: 3}]", "titles of trainings must differ; set `as:`, got standard, standard"),
        ("training: []", "a list of one or more, got an empty list"),
        ("training: [{lerning_rate: 0.1}]", r"lerning_rate \(did you mean 'learning_rate'\?\).*kind, as"),
        ("training: {lerning_rate: 0.1}", r"unknown key training.lerning_rate \(did you mean 'learning_rate'\?\)"),
    ],
)
def test_a_wrong_key_is_named(small_sweep, text, message):
    head, _ = small_sweep.read_text().split("training:")
    small_sweep.write_text(head + text)
    with pytest.raises(SweepError, match=message):
        read_sweep(small_sweep)


def test_what_training_kept_is_read_by_the_first_request_of_a_sequence_only():
    requests = [{"kind": "sample", "forget_ratio": 0.05}, {"kind": "class"}]
    made = sweep(
        training="closed_form_head",
        methods=["original", "retrain", "downdate"],
        unlearning=[{"kind": "sequence", "requests": requests}],
    )
    grid = build_grid(made)
    assert [len(spec.before) for spec in grid.trials if spec.method.name == "downdate"] == [0]
    assert [refusal.what for refusal in grid.refused] == ["downdate after the first request of a sequence"]
