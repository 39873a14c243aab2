"""What cannot run is refused with a reason before anything starts."""

from __future__ import annotations

import pytest
from small_sweep import sweep

from orchestrator.plan.entries import TaskLoader, task_plugin
from orchestrator.plan.grid import build_grid
from orchestrator.plan.plug_in_keys import TaskEntry
from orchestrator.plan.scenarios import read_scenarios, reason_unsuitable


def test_a_misspelt_key_of_unlearning_gets_a_suggestion():
    with pytest.raises(ValueError, match="did you mean 'forget_ratio'"):
        build_grid(sweep(unlearning=[{"kind": "sample", "forget_ration": 0.05}]))


def test_missing_data_are_refused_with_the_reason_and_still_counted():
    grid = build_grid(sweep(tasks=[{"name": "audio_folder", "root": "/nowhere/at/all"}]))
    assert len(grid.trials) == len(grid.refused_ids) == 20
    assert grid.runnable == []
    assert "/nowhere/at/all" in grid.refused[0].reason


def test_a_part_that_cannot_run_leaves_the_others_and_nothing_that_only_it_needs():
    tasks = [{"name": "espeak_keywords", "clips": 240}, {"name": "audio_folder", "root": "/nowhere/at/all"}]
    grid = build_grid(sweep(tasks=tasks, training={"study": {"trials": 2}}))
    assert {spec.task.title for spec in grid.runnable} == {"espeak_keywords"}
    assert {study.trials[0].task.title for study in grid.studies.values()} == {"espeak_keywords"}
    last = [spec for spec in grid.runnable if spec.stage in ("retrain", "unlearn")]
    grid.refuse_trials([spec.trial_id for spec in last if spec.seed == 1])
    assert {(spec.stage, spec.seed) for spec in grid.runnable if spec.stage == "train"} == {("train", 0)}
    grid.refuse_trials([spec.trial_id for spec in last])
    assert grid.runnable == []
    assert grid.studies == {}


def test_what_does_not_fit_a_task_is_refused_with_the_reason():
    grid = build_grid(sweep(unlearning=[{"kind": "mislabeled"}]))
    assert "label_noise" in grid.refused[0].reason
    grid = build_grid(sweep(tasks=["espeak_speakers"], unlearning=[{"kind": "speaker"}]))
    assert "kind: class" in grid.refused[0].reason


def test_a_backbone_that_cannot_learn_what_a_task_labels_is_refused_with_the_reason():
    tasks = [{"name": "espeak_keywords", "clips": 240}, {"name": "espeak_sentences", "sentences": 40}]
    grid = build_grid(sweep(tasks=tasks))
    assert {spec.task.title for spec in grid.trials} == {"espeak_keywords"}
    (refusal,) = [refusal for refusal in grid.refused if "espeak_sentences" in refusal.what]
    assert "labeled with transcripts, and the backbone answers with classes" in refusal.reason


@pytest.mark.parametrize(
    ("kind", "task", "reason"),
    [
        ("class", "espeak_sentences", "no classes; use kind: entity"),
        ("mislabeled", "espeak_sentences", "none is known to be wrong"),
        ("entity", "espeak_keywords", "no transcripts"),
        ("canary", "espeak_speakers", "no transcripts"),
    ],
)
def test_a_scenario_without_a_meaning_for_a_task_has_a_reason(kind, task, reason):
    (scenario,) = read_scenarios([{"kind": kind}], [task], ["b"])
    plugin = task_plugin(TaskEntry(name=task), [scenario], print, TaskLoader())
    assert reason in reason_unsuitable(scenario, plugin)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ["scrubb"]}, r"unknown method: got 'scrubb' \(did you mean 'scrub'\?\)"),
        (
            {"methods": [{"name": "scrub", "epoch": 1}]},
            r"unknown setting of method scrub: got 'epoch' \(did you mean 'epochs'",
        ),
        (
            {"unlearning": [{"kind": "sample", "forget_ratio": 10}]},
            "forget_ratio must lie strictly between 0 and 1, got 10",
        ),
        ({"unlearning": [{"kind": "sample", "ratio": 0.1}]}, "unknown key of unlearning: got 'ratio'"),
        ({"methods": [{"name": "scrub", "superloss": {"lam": 1}}]}, "unknown setting of superloss: got 'lam'"),
        ({"lock": "/no/such.lock.yaml"}, "no lock file"),
        ({"training": {"crop": "random"}}, "clip_seconds"),
    ],
)
def test_a_mistake_is_refused_early_in_three_parts(changes, message):
    with pytest.raises(ValueError, match=message):
        build_grid(sweep(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": [{"name": "scrub", "learning_rate": "fast"}]}, "'learning_rate' of method scrub: .*got 'fast'"),
        ({"methods": [{"name": "scrub", "learning_rate": -1.0}]}, "learning_rate must be above 0, got -1.0"),
        ({"methods": [{"name": "scrub", "epochs": -3}]}, "epochs must be 0 or more, got -3"),
        ({"methods": [{"name": "scrub", "batch_size": 0}]}, "batch_size must be 1 or more, got 0"),
        ({"methods": [{"name": "scrub", "order": "sideways"}]}, "'order' of method scrub"),
        ({"methods": [{"name": "scrub", "as": "mine"}]}, "a method cannot have an alias: got as: 'mine'"),
        ({"unlearning": [{"kind": "class", "tasks": ["nope"]}]}, "a task that the sweep does not have: got 'nope'"),
        ({"unlearning": [{"kind": "sample", "forget_ratio": []}]}, "forget_ratio must be a number"),
        ({"tasks": ["audio_folder"]}, "task audio_folder needs the setting 'root'"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused_before_anything_runs(changes, message):
    with pytest.raises(ValueError, match=message):
        build_grid(sweep(**changes))


def test_text_that_is_a_number_is_taken_as_one():
    grid = build_grid(sweep(methods=["retrain", {"name": "scrub", "learning_rate": "1e-4"}]))
    assert {s.method.settings["learning_rate"] for s in grid.trials if s.method.name == "scrub"} == {1e-4}


def test_a_sweep_whose_index_file_is_missing_is_counted_and_refused(tmp_path):
    file = tmp_path / "indices.txt"
    unlearning = [{"kind": "sample", "forget_ratio": [0.01, 0.1], "rule": "index_file", "index_file": str(file)}]
    without = build_grid(sweep(unlearning=unlearning))
    assert [refusal.reason for refusal in without.refused] == [
        f"file of a forget set not found: got {file}, allowed: a text file"
    ]
    file.write_text("1\n2\n")
    there = build_grid(sweep(unlearning=unlearning))
    assert not there.refused
    assert len(without.trials) == len(there.trials)
    own = {spec.trial_id for spec in there.trials if spec.stage != "train"}
    assert own.isdisjoint(spec.trial_id for spec in without.trials)
