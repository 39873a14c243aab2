"""The grid of a sweep: its trials, their order and their ids."""

from __future__ import annotations

import pytest
from small_sweep import ids, sweep

from orchestrator.plan.grid import build_grid
from orchestrator.plan.shipped_sweeps import shipped_sweeps
from orchestrator.plan.sweep_file import read_sweep


def test_counts_the_grid():
    grid = build_grid(sweep())
    stages = [spec.stage for spec in grid.trials]
    assert {stage: stages.count(stage) for stage in set(stages)} == {"train": 2, "retrain": 6, "unlearn": 12}


def test_ids_are_stable_and_distinct():
    first = ids(sweep())
    assert first == ids(sweep())
    assert len(set(first)) == len(first)


def test_an_extended_sweep_keeps_the_ids_it_had():
    assert set(ids(sweep())) < set(ids(sweep(seeds=[0, 1, 2], methods=["original", "retrain", "scrub", "salun"])))


def test_a_changed_setting_renames_only_what_depends_on_it():
    before, after = set(ids(sweep())), set(ids(sweep(methods=["original", "retrain", {"name": "scrub", "epochs": 9}])))
    assert len(before - after) == 6  # the trials of SCRUB
    retrained = set(ids(sweep(training={"epochs": 3})))
    assert not before & retrained


def test_ids_contain_no_paths_and_no_names_of_sweeps(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for word in ("x", "y"):
            (tmp_path / folder / word).mkdir()
            for n in range(9):
                (tmp_path / folder / word / f"{n}.wav").write_bytes(b"0" * 100)
    made = [ids(sweep(name=f, tasks=[{"name": "audio_folder", "root": str(tmp_path / f)}])) for f in ("a", "b")]
    assert made[0] == made[1]


def test_parents_come_before_children_and_are_in_the_grid():
    seen: set[str] = set()
    for spec in build_grid(sweep()).trials:
        assert set(spec.parents.values()) <= seen
        seen.add(spec.trial_id)


def test_one_seed_of_every_cell_comes_before_any_second_seed():
    seeds = [spec.seed for spec in build_grid(sweep()).trials]
    assert seeds == sorted(seeds)


def test_a_list_of_settings_is_swept():
    grid = build_grid(sweep(methods=["retrain", {"name": "scrub", "learning_rate": [1e-5, 1e-4], "epochs": [1, 2]}]))
    settings = {
        (s.method.settings["learning_rate"], s.method.settings["epochs"])
        for s in grid.trials
        if s.method.name == "scrub"
    }
    assert settings == {(1e-5, 1), (1e-5, 2), (1e-4, 1), (1e-4, 2)}


def test_a_fixed_original_seed_shares_one_original():
    grid = build_grid(sweep(original_seed=42))
    assert [spec.original_seed for spec in grid.trials if spec.stage == "train"] == [42]


@pytest.mark.parametrize("unit", ["samples", "seconds"])
def test_retrain_belongs_to_the_recipe_only_where_its_seconds_are_the_budget(unit):
    def scrub(*methods):
        grid = build_grid(sweep(methods=[*methods, "scrub"], time_budget={"unit": unit}))
        return {spec.trial_id: spec for spec in grid.trials if spec.method.name == "scrub"}

    alone, compared = scrub("original"), scrub("original", "retrain")
    assert (alone.keys() == compared.keys()) == (unit == "samples")
    assert {s.retrain_id for s in alone.values()} == {s.retrain_id for s in compared.values()}


def test_a_request_can_be_for_some_backbones_and_the_others_train_nothing_for_it():
    request = {"kind": "class", "backbones": ["logmel_gru"]}
    grid = build_grid(sweep(backbones=["logmel_cnn", "logmel_gru"], unlearning=[request]))
    assert {spec.backbone.name for spec in grid.trials} == {"logmel_gru"}
    with pytest.raises(ValueError, match="names a backbone that the sweep does not have: got 'logmel_gru'"):
        build_grid(sweep(backbones=["logmel_cnn"], unlearning=[request]))


def test_a_backbones_training_wins_over_the_tasks_and_the_sweeps():
    grid = build_grid(
        sweep(
            training={"epochs": 1, "batch_size": 8},
            tasks=[{"name": "espeak_keywords", "training": {"epochs": 2, "learning_rate": 0.5}}],
            backbones=[{"name": "logmel_cnn", "training": {"epochs": 3}}],
        )
    )
    training = grid.trials[0].training
    assert (training["epochs"], training["learning_rate"], training["batch_size"]) == (3, 0.5, 8)


def test_a_study_comes_first_and_its_originals_wait_for_it():
    grid = build_grid(sweep(training={"study": {"trials": 3, "epochs": [1, 2]}}))
    (plan,) = grid.studies.values()
    assert [spec.stage for spec in grid.trials[:4]] == ["study"] * 3 + ["train"]
    assert grid.trials[3].training == {"study": plan.study_id}


def test_the_sweeps_of_the_authors_code_have_its_recipe_and_one_original_a_backbone(monkeypatch, tmp_path):
    monkeypatch.setenv("UNLEARN_DATA", str(tmp_path))
    for task, corruption in (("kws", "mirror"), ("sid", "shift")):
        made, _ = read_sweep(shipped_sweeps()[f"paper_{task}_mubench"])
        trials = build_grid(made).trials
        unlearning = [spec for spec in trials if spec.budget is not None]
        assert len([spec for spec in trials if spec.stage == "train"]) == 7
        assert len(unlearning) == 7 * 10 * 5 * 10  # backbones, ratios, seeds, variants
        assert all(spec.training["learning_rate"] == 5e-5 and spec.training["epochs"] == 10 for spec in trials)
        assert all(spec.clip == {"crop": "random", "seconds": 1.0} for spec in trials)
        for spec in unlearning:
            settings = spec.method.settings
            assert spec.method.name.endswith("_mubench")
            assert (settings["learning_rate"], settings["epochs"], settings["batch_size"]) == (5e-5, 5, 32)
            assert settings.get("corruption", corruption) == corruption
            assert (spec.superloss or {"tau": "mubench"})["tau"] == "mubench"


def test_what_a_request_names_stays_in_train_for_every_trial_of_its_task(tmp_path):
    (tmp_path / "ids.txt").write_text("u3\nu1\n")
    tasks = [{"name": "espeak_keywords", "as": name, "clips": 240} for name in ("a", "b")]
    unlearning = [
        {"kind": "ids", "ids": ["u2"]},
        {"kind": "sequence", "requests": [{"kind": "ids", "ids_file": str(tmp_path / "ids.txt")}], "tasks": ["a"]},
    ]
    made = {spec.task.title: spec.task for spec in build_grid(sweep(tasks=tasks, unlearning=unlearning)).trials}
    assert [made[name].settings["keep_in_train"] for name in "ab"] == [["u1", "u2", "u3"], ["u2"]]
    assert made["a"].content != made["b"].content
    plain = build_grid(sweep(tasks=tasks)).trials[0].task
    assert "keep_in_train" not in plain.settings
