"""A launch with trackers is the launch without them: same rows, same events, and no wait for a tracker that fails."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from orchestrator import load_sweep, run_sweep
from orchestrator.errors import TrackerFailed
from orchestrator.results.store import open_store
from orchestrator.run.progress.observer import SILENT, LaunchObserver
from orchestrator.run.tracking import records
from orchestrator.run.tracking.observer import TrackerProcess, TrackingObserver, tracked


def test_without_trackers_nothing_starts(store):
    with tracked(SILENT, [], "small", store) as observer:
        assert observer is SILENT


def test_a_launch_logs_its_trials_and_their_rows_are_the_same(begun, finished_small, cache_dir):
    pytest.importorskip("tensorboard")
    loaded = load_sweep(finished_small / "small.yaml", ["log_to=[tensorboard]", "methods.3.epochs=2"])
    run_sweep(loaded, begun, executor="local", cache_dir=cache_dir)
    (folder,) = (begun / "tensorboard" / "small").iterdir()  # only what ran in this launch
    assert folder.name.startswith("scrub-")
    assert open_store(begun).row(folder.name.rpartition("-")[2])["status"] == "done"


def test_a_tracker_that_fails_is_a_warning_and_changes_nothing(begun, finished_small, cache_dir):
    pytest.importorskip("tensorboard")
    (begun / "tensorboard").write_text("a file where a folder must be")
    loaded = load_sweep(finished_small / "small.yaml", ["log_to=[tensorboard]", "methods.3.epochs=3"])
    with pytest.warns(TrackerFailed, match=r"log_to: tensorboard: .*; the launch goes on without it") as warned:
        dispatcher = run_sweep(loaded, begun, executor="local", cache_dir=cache_dir)
    assert len([one for one in warned if one.category is TrackerFailed]) == 1
    assert dispatcher.outcome().exit_code == 0


def test_sending_never_waits_and_a_process_that_hangs_is_stopped(monkeypatch):
    process = TrackerProcess(["x", "tracker"], wait_seconds=0.5)
    real = subprocess.Popen
    monkeypatch.setattr(
        "orchestrator.run.tracking.observer.subprocess.Popen",
        lambda _, **more: real([sys.executable, "-c", "import time; time.sleep(60)"], **more),
    )
    big = {**records.progress("a"), "filler": "x" * 100_000}  # more than a pipe holds
    began = time.monotonic()
    for _ in range(20):
        process.send(big)
    assert time.monotonic() - began < 30
    with pytest.warns(TrackerFailed, match="tracker did not take all records within 0.5 s"):
        process.close()


def test_what_a_tracker_prints_by_itself_is_no_record(monkeypatch):
    process = TrackerProcess(["x", "tracker"])
    real, said = subprocess.Popen, 'print(\'hello\'); print(\'[]\'); print(\'{"tracker": "t", "error": "refused"}\')'
    monkeypatch.setattr(
        "orchestrator.run.tracking.observer.subprocess.Popen",
        lambda _, **more: real([sys.executable, "-c", said], **more),
    )

    def talk() -> None:
        process.send(records.progress("a"))
        process.close()

    with pytest.warns(TrackerFailed, match="t: refused") as warned:
        talk()
    assert len(warned) == 1


def test_every_event_is_passed_on():
    events = [name for name in vars(LaunchObserver) if not name.startswith("_")]
    assert set(events) <= set(vars(TrackingObserver))


def test_a_module_of_the_current_folder_is_not_imported(begun, finished_small, cache_dir, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tensorboard.py").write_text("open('imported', 'w').close()")
    loaded = load_sweep(finished_small / "small.yaml", ["log_to=[tensorboard]", "methods.3.epochs=4"])
    run_sweep(loaded, begun, executor="local", cache_dir=cache_dir)
    assert list((begun / "tensorboard").rglob("events*"))
    assert not (tmp_path / "imported").exists()
