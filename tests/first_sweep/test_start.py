from __future__ import annotations

import json
import sys

import jsonschema
import pytest

from orchestrator import load_sweep, plan_sweep, plugins, read_rows, run_sweep
from orchestrator.cli import main
from orchestrator.first_sweep.start import start_sweep
from orchestrator.first_sweep.survey import write_manifest
from orchestrator.plan.yaml_text import load_yaml
from orchestrator.tasks.sources.tables import read_table

QUICK = [
    "backbones=[logmel_cnn]",
    "methods=[original, retrain, {name: grad_ascent, epochs: 1}]",
    "training.epochs=1",
]


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_class_folders_become_a_sweep_that_runs(tmp_path, class_folders, cache_dir):
    before = files_in(class_folders)
    found, written = start_sweep(class_folders, tmp_path / "study")
    loaded = load_sweep(written.sweep, QUICK)
    plan = plan_sweep(loaded, cache_dir=cache_dir, check=True)
    assert not plan.grid.refused
    run_sweep(loaded, tmp_path / "results", executor="local", cache_dir=cache_dir)
    rows = read_rows(tmp_path / "results")
    assert set(rows["status"]) == {"done"}
    assert set(rows["unlearning"]) == {"none", "sample", "class"}
    assert set(rows["task"]) == {"some_recordings"} == {loaded.sweep.name}
    assert files_in(class_folders) == before
    assert (len(found.classes), len(found.speakers), len(found.rows)) == (3, 3, 36)


def test_a_manifest_becomes_a_sweep_with_its_splits(tmp_path, class_folders, cache_dir):
    splits = {"0": "train", "1": "train", "2": "validation", "3": "test"}
    listed = [path.relative_to(class_folders).as_posix() for path in sorted(class_folders.rglob("*.wav"))]
    table = "".join(f"{name},{name.split('/')[0]},{splits[name[-5]]},{name[-5]}\n" for name in listed)
    (tmp_path / "clips.csv").write_text("path,word,split,take\n" + table)
    found, written = start_sweep(class_folders, tmp_path / "study", manifest=tmp_path / "clips.csv")
    rows = read_table(written.manifest).rows
    assert [(row["path"], row["split"], row["take"]) for row in rows] == [
        (name, splits[name[-5]], name[-5]) for name in listed
    ]
    assert found.splits == {"train": 18, "validation": 9, "test": 9}
    assert not plan_sweep(load_sweep(written.sweep, QUICK), cache_dir=cache_dir, check=True).grid.refused


def test_splits_are_those_that_the_task_draws(tmp_path, class_folders):
    _, written = start_sweep(class_folders, tmp_path / "study")
    rows = read_table(written.manifest).rows
    ours = {str(row["path"]): row.pop("split") for row in rows}
    write_manifest(tmp_path / "open.csv", rows)
    task = plugins.load("tasks", "audio_folder", root=str(class_folders), manifest=str(tmp_path / "open.csv"))
    assert ours == {utterance.utterance_id: utterance.split for utterance in task.read().utterances}
    assert set(ours.values()) == {"train", "validation", "test"}


def test_the_sweep_names_a_schema_that_it_fits(tmp_path, class_folders):
    _, written = start_sweep(class_folders, tmp_path / "study")
    text = written.sweep.read_text()
    assert text.splitlines()[0] == f"# yaml-language-server: $schema={written.schema.name}"
    jsonschema.validate(load_yaml(text), json.loads(written.schema.read_text()))


def test_speakers_can_be_the_classes(tmp_path, class_folders):
    found, written = start_sweep(class_folders, tmp_path / "study", target="speakers")
    assert sorted(found.classes) == ["ann", "bob", "cem"]
    assert load_yaml(written.sweep.read_text())["tasks"][0]["target"] == "speakers"


def test_problems_are_named_and_bad_recordings_left_out(tmp_path, class_folders, write_tone):
    (class_folders / "left" / "ann_8.wav").write_bytes(b"RIFF")
    copied = class_folders / "left" / "ann_9.wav"
    copied.write_bytes((class_folders / "left" / "ann_0.wav").read_bytes())
    write_tone(class_folders / "stop" / "bob_9.wav", rate_hz=8_000, seconds=3.0)
    found, written = start_sweep(class_folders, tmp_path / "study")
    said = "\n".join(found.problems)
    assert "1 recordings are left out" in said
    assert "ann_8.wav" in said
    assert "2 recordings have the same audio as another: left/ann_0.wav; left/ann_9.wav" in said
    assert "recordings at 8000 Hz are resampled to 16000 Hz" in said
    assert "left/ann_8.wav" not in written.manifest.read_text()
    assert load_yaml(written.sweep.read_text())["training"]["clip_seconds"] == found.clip_seconds == 0.3


def test_files_are_overwritten_only_on_request(tmp_path, class_folders):
    start_sweep(class_folders, tmp_path / "study")
    (tmp_path / "study" / "sweep.yaml").write_text("mine")
    with pytest.raises(ValueError, match=r"already has manifest.csv, sweep.yaml, sweep.schema.json: choose another"):
        start_sweep(class_folders, tmp_path / "study")
    assert (tmp_path / "study" / "sweep.yaml").read_text() == "mine"
    start_sweep(class_folders, tmp_path / "study", force=True)
    assert (tmp_path / "study" / "sweep.yaml").read_text() != "mine"


@pytest.mark.parametrize(
    ("classes", "takes", "said"),
    [(1, 12, "too few classes: got c0"), (2, 2, "too few recordings: the validation split of 4 recordings is empty")],
)
def test_too_little_is_refused_and_nothing_written(tmp_path, write_tone, classes, takes, said):
    for label in range(classes):
        for take in range(takes):
            write_tone(tmp_path / "few" / f"c{label}" / f"{take}.wav")
    with pytest.raises(ValueError, match=said):
        start_sweep(tmp_path / "few", tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_the_command_says_what_it_found_and_what_comes_next(tmp_path, class_folders, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["unlearn", "init", str(class_folders)])
    with pytest.raises(SystemExit) as end:
        main()
    shown = capfd.readouterr().out
    assert not end.value.code
    assert all(word in shown for word in ("36 (train", "left 12", "16000 Hz (36)", "unlearn plan", "unlearn run"))
    assert (tmp_path / "sweep.yaml").is_file()
