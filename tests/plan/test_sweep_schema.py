from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.plan.shipped_sweeps import shipped_sweeps
from orchestrator.plan.sweep_file import read_sweep
from orchestrator.plan.sweep_schema import SweepError


def write(folder, text: str, name: str = "sweep.yaml"):
    path = folder / name
    path.write_text(text)
    return path


MINIMAL = """
name: minimal
tasks: [espeak_keywords]
backbones: [whisper_nano]
unlearning: [{kind: sample, forget_ratio: 0.05}]
methods: [original, retrain]
seeds: [0]
"""


def test_a_mistyped_key_is_refused_with_the_right_one(tmp_path):
    with pytest.raises(SweepError, match=r"unknown key time_bugdet \(did you mean 'time_budget'\?\)"):
        read_sweep(write(tmp_path, MINIMAL + "time_bugdet: {fraction: 1.0}\n"))


def test_a_mistyped_nested_key_is_refused_with_the_right_one(tmp_path):
    with pytest.raises(SweepError, match=r"unknown key training.lerning_rate \(did you mean 'learning_rate'\?\)"):
        read_sweep(write(tmp_path, MINIMAL + "training: {lerning_rate: 0.1}\n"))


def test_all_mistakes_are_named_at_once(tmp_path):
    with pytest.raises(SweepError) as error:
        read_sweep(
            write(tmp_path, MINIMAL.replace("seeds: [0]", "seeds: [0, 0]") + "foo: 1\ntime_budget: {fraction: 0}\n")
        )
    assert all(part in str(error.value) for part in ("foo", "seeds must differ", "time_budget.fraction"))


@pytest.mark.parametrize("key", ["seeds=[-1]", "tuning={seeds: [-1]}", "original_seed=-1"])
def test_a_seed_below_zero_is_refused(tmp_path, key):
    with pytest.raises(SweepError, match="greater than or equal to 0"):
        read_sweep(write(tmp_path, MINIMAL), [key])


def test_a_list_of_trainings_stands_under_the_key_training_only(tmp_path):
    with pytest.raises(SweepError, match="unknown key trainings, allowed: training"):
        read_sweep(write(tmp_path, MINIMAL + "trainings: [{epochs: 2}]\n"))
    with pytest.raises(SweepError, match=r"training\.0\.epochs"):
        read_sweep(write(tmp_path, MINIMAL + "training: [{epochs: 0}]\n"))


def test_extends_merges_and_the_child_wins(tmp_path):
    write(tmp_path, MINIMAL + "training: {epochs: 3, batch_size: 8}\n", "base.yaml")
    sweep, _ = read_sweep(write(tmp_path, "extends: base.yaml\nname: child\ntraining: {epochs: 5}\n"))
    assert (sweep.name, sweep.training.epochs, sweep.training.batch_size) == ("child", 5, 8)


def test_a_sweep_that_extends_itself_is_refused(tmp_path):
    write(tmp_path, "extends: b.yaml\n", "a.yaml")
    write(tmp_path, "extends: a.yaml\n", "b.yaml")
    with pytest.raises(SweepError, match="extends itself"):
        read_sweep(tmp_path / "a.yaml")


def test_overrides_reach_into_lists_and_are_yaml(tmp_path):
    path = write(tmp_path, MINIMAL)
    sweep, _ = read_sweep(path, ["seeds=[3, 4]", "training.epochs=2", "unlearning.0.forget_ratio=0.1"])
    assert (sweep.seeds, sweep.training.epochs, sweep.unlearning[0]["forget_ratio"]) == ([3, 4], 2, 0.1)


@pytest.mark.parametrize("override", ["seeds", "tasks.7.clips=1", "name.deeper.still=1"])
def test_an_override_that_leads_nowhere_is_refused(tmp_path, override):
    with pytest.raises(SweepError, match="--set"):
        read_sweep(write(tmp_path, MINIMAL), [override])


def test_environment_variables_fill_paths_and_have_defaults(tmp_path, monkeypatch):
    monkeypatch.setenv("CORPORA", "/data")
    text = MINIMAL.replace(
        "[espeak_keywords]", "[{name: audio_folder, root: '${CORPORA}/fsdd', pattern: '${NONE:-x}'}]"
    )
    sweep, _ = read_sweep(write(tmp_path, text))
    assert sweep.tasks[0].settings == {"root": "/data/fsdd", "pattern": "x"}


def test_tuning_seeds_are_never_reported_seeds(tmp_path):
    with pytest.raises(SweepError, match=r"never be reported seeds, got \[0\]"):
        read_sweep(write(tmp_path, MINIMAL + "tuning: {seeds: [0, 9]}\n"))


def test_a_file_that_is_not_there_names_the_shipped_sweeps(tmp_path):
    with pytest.raises(SweepError, match="demo"):
        read_sweep(tmp_path / "nothing.yaml")


@pytest.mark.parametrize("name", sorted(shipped_sweeps()))
def test_every_shipped_sweep_is_valid_and_described(name):
    sweep, _ = read_sweep(shipped_sweeps()[name])
    assert sweep.name == name
    assert sweep.description


def errors_of(folder, text: str, *overrides: str) -> str:
    with pytest.raises(SweepError) as error:
        read_sweep(write(folder, text), overrides)
    return str(error.value)


def test_a_key_given_twice_is_refused_with_its_line(tmp_path):
    said = errors_of(tmp_path, MINIMAL + "seeds: [5]\n")
    assert said.endswith('sweep.yaml: line 8, column 1: key given twice: "seeds"')


@pytest.mark.parametrize("written", ["1e-4", "1.0e-4", "1E-4", "0.0001"])
def test_every_way_to_write_a_number_is_a_number(tmp_path, written):
    sweep, values = read_sweep(write(tmp_path, MINIMAL + f"training: {{learning_rate: {written}}}\n"))
    assert values["training"]["learning_rate"] == sweep.training.learning_rate == 1e-4


def test_names_are_read_as_they_are_written(tmp_path):
    names = "[yes, no, on, off, 7, 007, 1.0, 2024-01-01, 'true']"
    read = ["yes", "no", "on", "off", "7", "007", "1.0", "2024-01-01", "true"]
    text = MINIMAL.replace("{kind: sample, forget_ratio: 0.05}", f"{{kind: class, classes: {names}}}")
    text = text.replace(
        "[espeak_keywords]", f"[{{name: audio_folder, classes: {names}, where: {{digit: [0, 1], on: 0.5}}}}]"
    )
    sweep, _ = read_sweep(write(tmp_path, text), ["tasks.0.test_where.take=3"])
    assert sweep.unlearning[0]["classes"] == sweep.tasks[0].settings["classes"] == read
    assert sweep.tasks[0].settings["where"] == {"digit": ["0", "1"], "on": "0.5"}
    assert sweep.tasks[0].settings["test_where"] == {"take": "3"}
    for key in ("classes", "speakers", "ids"):
        sweep, _ = read_sweep(write(tmp_path, MINIMAL), [f"unlearning.0.{key}=[yes, 12]", f"unlearning.0.{key}.1=007"])
        assert sweep.unlearning[0][key] == ["yes", "007"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{kind: class, classes: [go, true]}", "line 5, column 42: YAML reads true as a boolean: quote it, as 'true'"),
        ("{kind: speaker, speakers: [False]}", "YAML reads False as a boolean: quote it"),
        ("{kind: ids, ids: [null]}", "YAML reads null as nothing: quote it"),
        ("{where: {clean: true}}", "YAML reads true as a boolean"),
        ("{where: {take: 1.0}}", "1.0 may be text or a number: quote it"),
        ("{test_where: {take: [007]}}", "007 may be text or a number: quote it"),
    ],
)
def test_a_name_that_yaml_reads_as_something_else_must_be_quoted(tmp_path, entry, said):
    assert said in errors_of(tmp_path, MINIMAL.replace("{kind: sample, forget_ratio: 0.05}", entry))


@pytest.mark.parametrize(
    "override",
    [
        "training.learning_rate=.nan",
        "training.learning_rate=.inf",
        "time_budget.fraction=.inf",
        "methods=[{name: grad_ascent, learning_rate: .nan}]",
        "methods=[{name: scrub, superloss: {strength: .inf}}]",
        "methods=[{name: scrub, curriculum: {start_share: .nan}}]",
        "methods=[{name: scrub, lora: {alpha: .inf}}]",
        "tasks=[{name: espeak_keywords, holdout_share: .nan}]",
        "tuning.spaces={scrub: {learning_rate: [1e-5, .inf]}}",
        "unlearning.0.forget_ratio=[0.1, .nan]",
        "clip_norm=1e999",
        "hang_seconds=.inf",
    ],
)
def test_what_is_no_finite_number_is_refused_wherever_it_stands(tmp_path, override):
    assert "must be a finite number, got" in errors_of(tmp_path, MINIMAL, override)


def test_text_that_becomes_no_finite_number_is_refused_too(tmp_path):
    for override in ("training.learning_rate=nan", "clip_norm='inf'"):
        assert "finite number" in errors_of(tmp_path, MINIMAL, override)


def test_home_is_filled_in_at_the_beginning_of_a_path_only(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    text = MINIMAL.replace("[espeak_keywords]", "[{name: audio_folder, root: ~/clips, manifest: ~/list.csv}]")
    text = text.replace("[whisper_nano]", "[{name: hubert_base, checkpoint: ~/ck}]") + "lock: ~/l.yaml\n"
    text = text.replace("{kind: sample, forget_ratio: 0.05}", "{kind: ids, ids: [~/x.wav, a~/b]}")
    sweep, _ = read_sweep(write(tmp_path, text))
    assert sweep.tasks[0].settings == {"root": "/home/me/clips", "manifest": "/home/me/list.csv"}
    assert (sweep.backbones[0].settings["checkpoint"], sweep.lock) == ("/home/me/ck", "/home/me/l.yaml")
    assert sweep.unlearning[0]["ids"] == ["~/x.wav", "a~/b"]


def test_two_tasks_or_backbones_with_one_title_are_refused(tmp_path):
    two = "tasks=[{name: espeak_keywords, clips: 240}, {name: espeak_keywords, clips: 360%s}]"
    assert "set `as:` on one of them, got espeak_keywords twice" in errors_of(tmp_path, MINIMAL, two % "")
    assert len(read_sweep(write(tmp_path, MINIMAL), [two % ", as: more"])[0].tasks) == 2
    said = errors_of(tmp_path, MINIMAL, "backbones=[whisper_nano, {name: whisper_tiny, as: whisper_nano}]")
    assert "set `as:` on one of them, got whisper_nano twice" in said


@pytest.mark.parametrize("override", ["seeds=[0", "training={epochs: 1, epochs: 2}", "name=a: b: c", "seeds=*x"])
def test_a_broken_override_is_told_in_one_line(tmp_path, override):
    said = errors_of(tmp_path, MINIMAL, override)
    assert said.startswith(f"--set {override.split('=')[0]}: ")
    assert len(said.splitlines()) == 1


def test_a_value_that_contains_itself_is_refused(tmp_path):
    assert "contains itself" in errors_of(tmp_path, "name: x\ntasks: &a [espeak_keywords, *a]\n")
    assert "contains itself" in errors_of(tmp_path, "name: x\ntraining: &a {epochs: {deeper: *a}}\n")


def test_one_value_may_be_used_at_two_places(tmp_path):
    tasks = "tasks: [{name: espeak_keywords, training: &a {epochs: 3}}, {name: espeak_keywords, as: b, training: *a}]"
    sweep, _ = read_sweep(write(tmp_path, MINIMAL.replace("tasks: [espeak_keywords]", tasks)))
    assert [task.training.epochs for task in sweep.tasks] == [3, 3]


@pytest.mark.parametrize(
    "override",
    [
        "training.learning_rate=true",
        "training.epochs=true",
        "seeds=[0, true]",
        "tuning.trials=true",
        "clip_norm=true",
    ],
)
def test_a_boolean_is_no_number(tmp_path, override):
    assert "must be a number, got" in errors_of(tmp_path, MINIMAL, override)


@pytest.mark.parametrize(
    "study",
    ["learning_rate: [1e-3, 1e-4]", "learning_rate: [0, 1e-3]", "epochs: []", "epochs: [0]", "batch_size: [-4]"],
)
def test_a_study_searches_between_rising_bounds_and_among_choices(tmp_path, study):
    assert f"study.{study.split(':')[0]}" in errors_of(tmp_path, MINIMAL, f"training.study={{trials: 2, {study}}}")


def test_a_missing_key_is_named_without_the_rest_of_the_sweep(tmp_path):
    said = errors_of(tmp_path, MINIMAL.replace("name: minimal\n", ""))
    assert "missing key name" in said
    assert "espeak_keywords" not in said


def test_a_long_wrong_value_is_cut(tmp_path):
    assert len(errors_of(tmp_path, MINIMAL, f"original_seed={list(range(500))}")) < 400


@pytest.mark.parametrize("name", [".mine", "-x", "a/b", "a b", "x" * 101])
def test_a_name_that_would_hide_or_break_its_record_is_refused(tmp_path, name):
    assert "name" in errors_of(tmp_path, MINIMAL, f"name='{name}'")


def test_a_number_as_a_name_must_be_quoted(tmp_path):
    assert "name must be text, got 2024; quote it" in errors_of(tmp_path, MINIMAL, "name=2024")
    assert read_sweep(write(tmp_path, MINIMAL), ["name='2024'"])[0].name == "2024"


def test_a_mistyped_shipped_sweep_is_suggested():
    with pytest.raises(SweepError, match=r"no sweep file leaderbord \(did you mean 'leaderboard'\?\)"):
        read_sweep(Path("leaderbord"))


def test_a_file_in_another_encoding_is_named(tmp_path):
    path = tmp_path / "latin.yaml"
    path.write_bytes((MINIMAL + "description: caf\xe9\n").encode("latin-1"))
    with pytest.raises(SweepError, match=r"latin\.yaml is not text in UTF-8"):
        read_sweep(path)
    path.write_bytes(b"\xef\xbb\xbf" + (MINIMAL + "description: caf\xe9\n").encode())
    assert read_sweep(path)[0].description == "caf\xe9"
