from __future__ import annotations

import pytest

from orchestrator.plan.sweep import SweepError
from orchestrator.plan.sweep_file import read_sweep, shipped_sweeps


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
