"""Entries become plug-ins; `tune_on` gives searches other recordings and leaves reported trials as they are."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from small_sweep import ids, sweep

from orchestrator.plan.entries import TaskLoader, task_plugin
from orchestrator.plan.grid import build_grid
from orchestrator.plan.tuned_settings import Choice, Lock, read_lock, write_lock
from orchestrator.tasks import audio_folder
from orchestrator.tasks.sources.manifest import from_manifest

TASK = {"name": "espeak_keywords", "clips": 240, "label_noise": {"share": 0.1, "seed": 0}}
ELSEWHERE = {**TASK, "tune_on": {"seed": 5, "label_noise": {"seed": 7}}}


def plugin_of(entry):
    return task_plugin(entry, [], lambda what, reason: None, TaskLoader())


def lock_on(corpus, path):
    settings = {"learning_rate": 0.123}
    choice = Choice("espeak_keywords", "logmel_cnn", "class", "scrub", False, settings, corpus=corpus)
    write_lock(path, Lock("rewind", 5, (1000,), (choice,)))
    return str(path)


def test_tune_on_overrides_settings_key_by_key_under_the_title_of_the_task():
    entry = sweep(tasks=[ELSEWHERE]).tasks[0]
    reported, tuned = plugin_of(entry), plugin_of(entry.for_tuning)
    assert tuned.title == reported.title
    assert tuned.content != reported.content
    assert tuned.settings == {**reported.settings, "seed": 5, "label_noise": {"share": 0.1, "seed": 7}}


def test_tune_on_changes_no_reported_trial():
    assert ids(sweep(tasks=[ELSEWHERE])) == ids(sweep(tasks=[TASK]))


@pytest.mark.parametrize("wrong", [{}, {"name": "audio_folder"}, {"training": {"epochs": 1}}, {"as": "a"}])
def test_tune_on_takes_settings_of_the_task_only(wrong):
    with pytest.raises(ValidationError, match="settings of the task that choose other recordings"):
        sweep(tasks=[{**TASK, "tune_on": wrong}])


@pytest.mark.parametrize(
    ("tune_on", "message"),
    [({"seed": 0}, "must name other recordings: got .*changes nothing"), ({"sead": 1}, "unknown setting")],
)
def test_a_tune_on_that_cannot_work_is_refused_when_planned(tune_on, message):
    with pytest.raises(ValueError, match=message):
        build_grid(sweep(tasks=[{**TASK, "tune_on": tune_on}]))


def test_a_lock_file_of_these_recordings_is_used_and_named_in_the_trials(tmp_path):
    corpus = plugin_of(sweep(tasks=[ELSEWHERE]).tasks[0].for_tuning).content
    lock = lock_on(corpus, tmp_path / "l.yaml")
    made = build_grid(sweep(tasks=[ELSEWHERE], lock=lock, unlearning=[{"kind": "class"}]))
    chosen = [spec for spec in made.trials if spec.method.name == "scrub"]
    assert {spec.lock for spec in chosen} == {f"rewind on corpus {corpus}"}
    assert {spec.tuned for spec in chosen} == {("learning_rate",)}
    assert read_lock(tmp_path / "l.yaml").choices[0].corpus == corpus


@pytest.mark.parametrize("corpus", ["", "0123456789ab"])
def test_a_lock_file_of_other_recordings_than_tune_on_names_is_refused(tmp_path, corpus):
    with pytest.raises(ValueError, match="chose settings for espeak_keywords on other recordings than tune_on names"):
        build_grid(sweep(tasks=[ELSEWHERE], lock=lock_on(corpus, tmp_path / "l.yaml")))


def test_a_task_without_data_is_refused_and_still_counted(tmp_path):
    missing = {"name": "audio_folder", "root": str(tmp_path / "none"), "tune_on": {"where": {"take": [1]}}}
    grid = build_grid(sweep(tasks=[missing]))
    assert [refusal.kind for refusal in grid.refused] == ["input"]
    assert len(grid.refused_ids) == len(grid.trials) == 20


def folder_entry(root, **settings):
    (task,) = sweep(tasks=[{"name": "audio_folder", "root": str(root), "manifest": "m.csv", **settings}]).tasks
    return task


def test_tasks_of_one_plan_read_the_files_that_they_share_once(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(audio_folder, "from_manifest", lambda *given: read.append(given) or from_manifest(*given))
    folders = [tmp_path / "a", tmp_path / "b"]
    for number, folder in enumerate(folders):
        folder.mkdir()
        (folder / "m.csv").write_text("path,label,speaker,said\n1.wav,go,ann,no\n2.wav,no,ben,go\n")
        for name in ("1.wav", "2.wav"):
            (folder / name).write_bytes(f"{number} {name}".encode())
    entries = [
        *(folder_entry(folders[0], where={"speaker": speaker}) for speaker in ("ann", "ben")),
        folder_entry(folders[0], label_from="said"),
        folder_entry(folders[1]),
    ]
    loader = TaskLoader()
    together = [task_plugin(entry, [], print, loader) for entry in entries]
    assert len(read) == 3
    assert together == [plugin_of(entry) for entry in entries]
    assert len({plugin.content for plugin in together}) == 4
