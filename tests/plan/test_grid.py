from __future__ import annotations

import json

import pytest

from orchestrator.plan.grid import build_grid
from orchestrator.plan.shipped_sweeps import shipped_sweeps
from orchestrator.plan.spec import TrialSpec
from orchestrator.plan.sweep_file import read_sweep
from orchestrator.plan.sweep_schema import Sweep


def sweep(**changes) -> Sweep:
    values = {
        "name": "t",
        "tasks": [{"name": "espeak_keywords", "clips": 240}],
        "backbones": ["logmel_cnn"],
        "unlearning": [{"kind": "sample", "forget_ratio": [0.01, 0.05]}, {"kind": "class"}],
        "methods": ["original", "retrain", "scrub"],
        "seeds": [0, 1],
    }
    return Sweep.model_validate({**values, **changes})


def ids(made: Sweep) -> list[str]:
    return [spec.trial_id for spec in build_grid(made).trials]


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
    assert len(before - after) == 6  # the SCRUB lines
    retrained = set(ids(sweep(training={"epochs": 3})))
    assert not before & retrained


def test_paths_and_names_of_sweeps_are_no_part_of_an_id(tmp_path):
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

    alone, beside = scrub("original"), scrub("original", "retrain")
    assert (alone.keys() == beside.keys()) == (unit == "samples")
    assert {s.retrain_id for s in alone.values()} == {s.retrain_id for s in beside.values()}


def test_a_request_can_be_for_some_backbones_and_the_others_train_nothing_for_it():
    asked = {"kind": "class", "backbones": ["logmel_gru"]}
    grid = build_grid(sweep(backbones=["logmel_cnn", "logmel_gru"], unlearning=[asked]))
    assert {spec.backbone.name for spec in grid.trials} == {"logmel_gru"}
    with pytest.raises(ValueError, match="names a backbone that the sweep has not: got 'logmel_gru'"):
        build_grid(sweep(backbones=["logmel_cnn"], unlearning=[asked]))


def test_a_misspelt_key_of_unlearning_gets_a_suggestion():
    with pytest.raises(ValueError, match="did you mean 'forget_ratio'"):
        build_grid(sweep(unlearning=[{"kind": "sample", "forget_ration": 0.05}]))


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


def test_data_that_are_not_there_are_refused_with_the_reason_and_still_counted():
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


def test_a_lock_fills_in_settings_that_the_sweep_leaves_open(tmp_path):
    from orchestrator.plan.tuned_settings import Choice, Lock, write_lock

    choice = Choice("espeak_keywords", "logmel_cnn", "sample", "scrub", False, {"learning_rate": 0.123, "epochs": 4})
    write_lock(tmp_path / "l.yaml", Lock("rewind", 5, (1000,), (choice,)))
    grid = build_grid(sweep(methods=["retrain", {"name": "scrub", "epochs": 2}], lock=str(tmp_path / "l.yaml")))
    for spec in grid.trials:
        if spec.method.name == "scrub":
            locked = spec.forget.name == "sample"
            assert (spec.method.settings["learning_rate"] == 0.123) is locked
            assert spec.method.settings["epochs"] == (2)
            assert spec.lock == ("rewind" if locked else "")


def test_a_choice_for_every_backbone_serves_where_there_is_none_of_its_own(tmp_path):
    from orchestrator.plan.tuned_settings import EVERY, Choice, Lock, write_lock

    def choice(backbone, rate):
        return Choice("espeak_keywords", backbone, "sample", "scrub", False, {"learning_rate": rate})

    write_lock(tmp_path / "l.yaml", Lock("rewind", 5, (1000,), (choice(EVERY, 0.1), choice("logmel_gru", 0.2))))
    grid = build_grid(sweep(backbones=["logmel_cnn", "logmel_gru"], lock=str(tmp_path / "l.yaml")))
    rates = {
        spec.backbone.name: spec.method.settings["learning_rate"]
        for spec in grid.trials
        if spec.method.name == "scrub" and spec.forget.name == "sample"
    }
    assert rates == {"logmel_cnn": 0.1, "logmel_gru": 0.2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": [{"name": "scrub", "learning_rate": "fast"}]}, "'learning_rate' of method scrub: .*got 'fast'"),
        ({"methods": [{"name": "scrub", "learning_rate": -1.0}]}, "learning_rate must be above 0, got -1.0"),
        ({"methods": [{"name": "scrub", "epochs": -3}]}, "epochs must be 0 or more, got -3"),
        ({"methods": [{"name": "scrub", "batch_size": 0}]}, "batch_size must be 1 or more, got 0"),
        ({"methods": [{"name": "scrub", "order": "sideways"}]}, "'order' of method scrub"),
        ({"methods": [{"name": "scrub", "as": "mine"}]}, "a method has no alias: got as: 'mine'"),
        ({"unlearning": [{"kind": "class", "tasks": ["nope"]}]}, "a task that the sweep has not: got 'nope'"),
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


def unlearning_specs(*methods):
    grid = build_grid(sweep(methods=["retrain", *methods], seeds=[0], unlearning=[{"kind": "class"}]))
    return [spec for spec in grid.trials if spec.stage == "unlearn"]


def test_a_knob_that_is_not_set_is_no_part_of_the_recipe():
    (plain,) = unlearning_specs({"name": "scrub"})
    assert not {"curriculum", "lora"} & set(plain.recipe())
    off = unlearning_specs({"name": "scrub", "curriculum": False, "lora": None, "preset": "faithful"})
    assert [spec.trial_id for spec in off] == [plain.trial_id]
    for knob in ("curriculum", "lora"):
        (laid,) = unlearning_specs({"name": "scrub", knob: True})
        assert laid.trial_id != plain.trial_id
        assert laid.recipe()[knob] == dict(getattr(laid, knob))
        assert {k: v for k, v in laid.recipe().items() if k != knob} == plain.recipe()


def test_lists_inside_a_knob_are_swept():
    specs = unlearning_specs(
        {"name": "scrub", "superloss": {"strength": [0.25, 1.0, 10.0], "tau": ["fixed", "global", "moving_average"]}}
    )
    assert len({(spec.superloss["strength"], spec.superloss["tau"]) for spec in specs}) == 9
    specs = unlearning_specs({"name": "scrub", "epochs": [1, 2], "curriculum": {"order": ["easy_first", "random"]}})
    assert len({(spec.method.settings["epochs"], spec.curriculum["order"]) for spec in specs}) == 4
    assert len({spec.trial_id for spec in specs}) == 4


def test_superloss_has_the_mubench_preset():
    (spec,) = unlearning_specs({"name": "scrub", "superloss": {"preset": "mubench"}})
    assert spec.superloss == {"strength": 10.0, "tau": "mubench", "momentum": 0.9, "over": "all"}
    (control,) = unlearning_specs({"name": "scrub", "superloss": {"preset": "mubench", "shuffled": True}})
    assert control.superloss == {**spec.superloss, "shuffled": True}
    (faithful,) = unlearning_specs({"name": "scrub", "superloss": {"preset": "faithful"}})
    assert [faithful.trial_id] == [spec.trial_id for spec in unlearning_specs({"name": "scrub", "superloss": True})]


@pytest.mark.parametrize("name", ["grad_ascent", "random_label", "bad_teacher", "scrub", "salun"])
def test_the_papers_methods_have_the_mubench_preset(name):
    (spec,) = unlearning_specs({"name": name, "preset": "mubench"})
    assert spec.method.name == f"{name}_mubench"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"name": "unsir", "preset": "mubench"},
            "no such preset of unsir: got 'mubench', allowed: faithful; mubench for",
        ),
        ({"name": "scrub", "preset": "fast"}, "no such preset of scrub: got 'fast'"),
        ({"name": "scrub", "superloss": {"preset": "fast"}}, "superloss.preset is not known: got 'fast', allowed"),
        ({"name": "scrub", "curriculum": {"sort": 1}}, "unknown setting of curriculum: got 'sort', allowed: order"),
        ({"name": "scrub", "lora": {"rank": 0}}, "lora.rank must be 1 or more, got 0"),
        ({"name": "scrub", "lora": {"rank": "big"}}, "lora: a setting of the wrong kind, got .*big"),
        ({"name": "ssd", "superloss": True}, "ssd edits weights in one step: got superloss, allowed"),
        ({"name": "downdate", "lora": {}}, "downdate edits weights in one step: got lora, allowed"),
        ({"name": "retrain", "lora": True}, "retrain takes no curriculum and no lora"),
        ({"name": "eu_k", "lora": True}, "eu_k puts weights back .*: got lora, allowed: on .*scrub"),
        ({"name": "msg", "lora": {}}, "msg puts weights back or draws them anew: got lora, allowed: on .*scrub"),
        ({"name": "rum", "medium": ["salun", "eu_k"], "lora": True}, "eu_k puts weights back .*: got lora, allowed"),
    ],
)
def test_a_wrong_knob_or_preset_is_refused(entry, message):
    with pytest.raises(ValueError, match=message):
        unlearning_specs(entry)


def test_methods_that_adapters_would_break_run_without_them_and_others_with_them():
    assert len(unlearning_specs({"name": "eu_k", "lora": False}, "msg", {"name": "rum", "medium": "eu_k"})) == 3
    assert [bool(spec.lora) for spec in unlearning_specs({"name": "rum", "lora": True}, "cf_k")] == [True, False]


def test_a_lock_serves_every_curriculum_and_keeps_adapters_apart(tmp_path):
    from orchestrator.plan.tuned_settings import Choice, Lock, write_lock

    choices = (
        Choice("espeak_keywords", "logmel_cnn", "class", "scrub", False, {"learning_rate": 0.1}),
        Choice("espeak_keywords", "logmel_cnn", "class", "scrub", False, {"learning_rate": 0.2}, lora=True),
    )
    write_lock(tmp_path / "l.yaml", Lock("rewind", 5, (1000,), choices))
    entries = [{"name": "scrub"}, {"name": "scrub", "curriculum": True}, {"name": "scrub", "lora": True}]
    made = sweep(methods=entries, seeds=[0], unlearning=[{"kind": "class"}], lock=str(tmp_path / "l.yaml"))
    rates = [s.method.settings["learning_rate"] for s in build_grid(made).trials if s.stage == "unlearn"]
    assert rates == [0.1, 0.1, 0.2]


SMALL_STEP = {"kind": "sample", "forget_ratio": 0.02}


def in_turn(*requests, **changes) -> Sweep:
    return sweep(unlearning=[{"kind": "sequence", "requests": list(requests)}], **changes)


def test_each_request_of_a_sequence_has_a_trial_a_line_that_starts_from_the_one_before():
    grid = build_grid(in_turn(SMALL_STEP, SMALL_STEP, {"kind": "class"}, seeds=[0]))
    stages = [spec.stage for spec in grid.trials]
    assert {stage: stages.count(stage) for stage in set(stages)} == {"train": 1, "retrain": 3, "unlearn": 6}
    original = grid.trials[0].trial_id
    scrub = [spec for spec in grid.trials if spec.method.name == "scrub"]
    assert [len(spec.before) for spec in scrub] == [0, 1, 2]
    assert [spec.starts_from for spec in scrub] == [original, scrub[0].trial_id, scrub[1].trial_id]
    assert [spec.is_start for spec in scrub] == [True, True, False]
    assert [spec.sequence["steps"] for spec in scrub] == [3, 3, 3]
    for spec in grid.trials:
        if spec.stage == "retrain" or spec.method.name == "original":  # D_r and f are the same however one got there
            assert "step" not in spec.parents
            assert not spec.is_start
    assert len({spec.retrain_id for spec in scrub}) == 3


def test_a_sequence_begins_with_the_trials_of_its_first_request_alone_and_may_be_gone_on_with():
    alone = ids(sweep(unlearning=[SMALL_STEP]))
    two, three = ids(in_turn(SMALL_STEP, SMALL_STEP)), ids(in_turn(SMALL_STEP, SMALL_STEP, {"kind": "class"}))
    assert set(alone) < set(two) < set(three)
    assert alone == ids(in_turn(SMALL_STEP))
    both = build_grid(
        sweep(unlearning=[SMALL_STEP, {"kind": "sequence", "requests": [SMALL_STEP, SMALL_STEP]}], seeds=[0])
    )
    assert [spec.is_start for spec in both.trials if spec.method.name == "scrub"] == [True, False]


def test_what_was_forgotten_before_belongs_to_a_recipe_only_where_there_is_something():
    (first, second) = (
        s for s in build_grid(in_turn(SMALL_STEP, SMALL_STEP, seeds=[0])).trials if s.method.name == "scrub"
    )
    assert set(first.recipe()) == {
        "spec_version", "evidence_version", "stage", "task", "backbone", "method", "seed", "original_seed", "training",
        "clip", "loop", "forget", "superloss", "budget", "parents", "study",
    }  # fmt: skip
    assert second.recipe()["before"] == [first.recipe()["forget"]]
    assert second.recipe()["parents"] == {**first.parents, "step": first.trial_id}


def test_a_sequence_survives_json():
    for spec in build_grid(in_turn(SMALL_STEP, {"kind": "class"})).trials:
        again = TrialSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
        assert (again.trial_id, again.starts_from) == (spec.trial_id, spec.starts_from)
        assert [request.key for request in again.before] == [request.key for request in spec.before]


def test_a_step_takes_the_settings_that_were_chosen_for_its_kind(tmp_path):
    from orchestrator.plan.tuned_settings import Choice, Lock, write_lock

    choice = Choice("espeak_keywords", "logmel_cnn", "class", "scrub", False, {"learning_rate": 0.123})
    write_lock(tmp_path / "l.yaml", Lock("rewind", 5, (1000,), (choice,)))
    grid = build_grid(in_turn(SMALL_STEP, {"kind": "class"}, seeds=[0], lock=str(tmp_path / "l.yaml")))
    rates = [s.method.settings["learning_rate"] for s in grid.trials if s.method.name == "scrub"]
    assert rates[0] != 0.123
    assert rates[1] == 0.123


def test_a_sequence_with_a_request_that_does_not_fit_the_task_is_refused_as_a_whole():
    grid = build_grid(in_turn(SMALL_STEP, {"kind": "mislabeled"}))
    assert grid.trials == []
    assert grid.refused[0].what == "espeak_keywords: sequence sample 0.02 > mislabeled"
    assert "label_noise" in grid.refused[0].reason


def test_a_sweep_whose_index_file_is_not_here_is_counted_and_says_so(tmp_path):
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


def test_the_sweeps_of_the_authors_code_have_its_recipe_and_one_original_a_backbone(monkeypatch, tmp_path):
    monkeypatch.setenv("UNLEARN_DATA", str(tmp_path))
    for task, corruption in (("kws", "mirror"), ("sid", "shift")):
        made, _ = read_sweep(shipped_sweeps()[f"paper_{task}_mubench"])
        trials = build_grid(made).trials
        unlearning = [spec for spec in trials if spec.budget is not None]
        assert len([spec for spec in trials if spec.stage == "train"]) == 7
        assert len(unlearning) == 7 * 10 * 5 * 10  # backbones, ratios, seeds, lines
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
