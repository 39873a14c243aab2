"""One driver at a time uses a results folder; a dead driver is replaced, and a replaced one changes nothing."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator import load_sweep, read_rows, run_sweep
from orchestrator.errors import LeaseLost
from orchestrator.plan.grid import build_grid
from orchestrator.results.storage import Folder
from orchestrator.results.store import Store, open_store
from orchestrator.run.evaluation.row import utc
from orchestrator.run.progress.observer import LaunchObserver
from orchestrator.run.scheduling import driver_lease, process_identity
from orchestrator.run.scheduling.dispatcher import Dispatcher
from orchestrator.run.scheduling.driver_lease import sole_driver
from orchestrator.run.setup import context

DRIVER = """
import sys
from orchestrator.results.store import open_store
from orchestrator.run.scheduling.driver_lease import sole_driver
with sole_driver(open_store(sys.argv[1]).files):
    print("driving", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_driver(tmp_path):
    """A driver of `tmp_path / "r"` in a process of its own."""
    command = [sys.executable, "-c", DRIVER, str(tmp_path / "r")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "driving\n"
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def rewritten(folder, **changes) -> None:
    path = folder / driver_lease.NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_second_driver_is_refused_by_name_and_changes_nothing(
    other_driver, small_sweep, tmp_path, cache_dir, injected
):
    before = sorted(p.name for p in (tmp_path / "r").iterdir())
    with pytest.raises(ValueError, match="is in use by process") as refused:
        run_sweep(load_sweep(small_sweep), tmp_path / "r", executor="local", cache_dir=cache_dir)
    injected("a second driver on the same folder", "refused by name before it changes anything")
    assert f"process {other_driver.pid} on {socket.gethostname()} (since 20" in str(refused.value)
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == before


def test_the_lease_of_a_killed_driver_is_taken_over_at_once(other_driver, small_sweep, tmp_path, cache_dir, injected):
    os.kill(other_driver.pid, signal.SIGKILL)  # and not reaped: a zombie is no driver either
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process_identity.start_of(other_driver.pid) is not None:
        time.sleep(0.01)
    loaded = load_sweep(small_sweep, ["methods=[original]"])
    assert run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir).over
    planned = [spec.trial_id for spec in build_grid(loaded.sweep).trials]
    injected("a driver dies and leaves its lease", "the next takes the folder at once", tmp_path / "r", planned)
    assert len(read_rows(tmp_path / "r")) == 2
    assert not (tmp_path / "r" / driver_lease.NAME).exists()


def test_a_process_id_that_another_process_reuses_is_no_driver(tmp_path):
    files = open_store(tmp_path).files
    with sole_driver(files):
        rewritten(tmp_path, token="an earlier one", process="1")
        with sole_driver(files):
            pass


def silent_for(folder, seconds: float) -> None:
    """Set the time of the last heartbeat, by the folder's clock."""
    os.utime(folder / driver_lease.NAME, (time.time() - seconds,) * 2)


def test_a_driver_on_another_machine_counts_as_dead_after_a_minute_without_heartbeat(tmp_path):
    files = open_store(tmp_path).files
    with sole_driver(files):
        rewritten(tmp_path, token="theirs", machine="elsewhere", host="node7")
        silent_for(tmp_path, 5)
        with pytest.raises(ValueError, match=r"on node7 \(since .* last heartbeat 5 s ago\)"), sole_driver(files):
            pass
        silent_for(tmp_path, driver_lease.DEAD_AFTER_SECONDS + 1)
        with sole_driver(files) as held:
            assert json.loads((tmp_path / driver_lease.NAME).read_text())["token"] == held.lease.token


@pytest.mark.parametrize("clock", [-7200, 7200])
def test_clocks_that_differ_by_hours_neither_lose_nor_lock_a_folder(tmp_path, monkeypatch, clock):
    files, now = open_store(tmp_path).files, time.time()
    with sole_driver(files):
        rewritten(tmp_path, token="theirs", machine="elsewhere", beat_seconds=now + clock, since_seconds=now + clock)
        with pytest.raises(ValueError, match="is in use by process"), sole_driver(files):
            pass
        silent_for(tmp_path, driver_lease.DEAD_AFTER_SECONDS + 1)
        with sole_driver(files):
            pass


def test_a_heartbeat_in_the_future_counts_if_it_changes_while_observed(tmp_path, monkeypatch):
    files, beats = open_store(tmp_path).files, [-3600, -3601]
    monkeypatch.setattr(driver_lease, "OBSERVE_SECONDS", 0.0)
    monkeypatch.setattr(
        driver_lease.time, "sleep", lambda seconds: silent_for(tmp_path, beats.pop()) if beats else None
    )
    with sole_driver(files):
        rewritten(tmp_path, token="theirs", machine="elsewhere")
        silent_for(tmp_path, -3600)
        with pytest.raises(ValueError, match=f"delete {tmp_path}/{driver_lease.NAME}"), sole_driver(files):
            pass
        beats.clear()  # it sends no more heartbeats
        with sole_driver(files) as held:
            assert not held.lost


@pytest.mark.parametrize("beat", ["1e30", "NaN", '"yesterday"', "null", "1" + 400 * "0", "[]"])
@pytest.mark.parametrize("field", ["beat_seconds", "since_seconds", "pid", "token"])
def test_nonsense_in_a_lease_neither_crashes_nor_locks_a_folder(tmp_path, monkeypatch, field, beat):
    files = open_store(tmp_path).files
    values = {
        "host": "h",
        "machine": "m",
        "pid": 1,
        "process": "1",
        "since_seconds": 1,
        "beat_seconds": 1,
        "token": "t",
    }
    del values[field]
    (tmp_path / driver_lease.NAME).write_text(json.dumps(values)[:-1] + f', "{field}": {beat}}}')
    (tmp_path / driver_lease.HISTORY).write_text(f'[{{"token": {beat}, "since_seconds": {beat}}}, {beat}]')
    monkeypatch.setattr(driver_lease, "DEAD_AFTER_SECONDS", -1e9)  # every driver with a heartbeat counts as dead
    with sole_driver(files) as held:
        assert held.lease.token.startswith("00000")
        rewritten(tmp_path, token="theirs", machine="elsewhere", since_seconds=json.loads(beat))
        monkeypatch.undo()
        with pytest.raises(ValueError, match=f"delete {tmp_path}/{driver_lease.NAME}"), sole_driver(files):
            pass


def superseded(folder):
    """The folder of workers whose driver lost it to another driver, which has ended."""
    files = open_store(folder).files
    with sole_driver(files) as first:
        rewritten(folder, process="1")  # it seems dead
        with sole_driver(files) as second:
            pass
    assert second.lease.token > first.lease.token
    return first.files


@pytest.mark.parametrize("change", [
    lambda store: store.commit({"trial_id": "b", "status": "done"}),
    lambda store: store.files.write_bytes("models/a.safetensors", b"late"),
    lambda store: store.files.delete("rows/a.parquet"),
    lambda store: store.files.upload(Path(__file__), "models/a.safetensors"),
])  # fmt: skip
def test_a_driver_that_lost_its_lease_changes_nothing(tmp_path, change):
    plain = open_store(tmp_path)
    plain.commit({"trial_id": "a", "status": "done"})
    late = Store(pickle.loads(pickle.dumps(superseded(tmp_path))))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(LeaseLost):
        change(late)
    late.withdraw("a")  # a row that cannot be moved is kept
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_rows_carry_the_token_of_their_driver(tmp_path):
    with sole_driver(open_store(tmp_path).files) as held:
        Store(held.files).commit({"trial_id": "a", "status": "done"})
        assert read_rows(tmp_path)["driver_token"].tolist() == [held.lease.token]


def test_a_running_trial_ends_soon_after_its_driver_lost_the_folder(small_sweep, tmp_path, cache_dir, monkeypatch):
    monkeypatch.setattr(context, "LEASE_SECONDS", 0.0)
    loaded, lost = load_sweep(small_sweep, ["training.epochs=1000000"]), open_store(tmp_path / "r").files

    class Thief(LaunchObserver):
        def planned(self, launch):
            with driver_lease._locked(lost):
                rewritten(tmp_path / "r", token="999999-theirs")

    dispatcher = run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir, observer=Thief())
    assert "another driver" in dispatcher.stopped
    assert not dispatcher.over
    assert not list((tmp_path / "r").glob("[cmo]*/*"))  # no checkpoint, model or output
    assert read_rows(tmp_path / "r").empty


HISTORY = [driver_lease.Driver("1-a", 1000.0), driver_lease.Driver("2-b", 2000.0), driver_lease.Driver("3-c", 3000.0)]


@pytest.mark.parametrize(
    ("token", "seconds", "again"),
    [("1-a", 1900, False), ("1-a", 2100, True), ("2-b", 2900, False), ("2-b", 3100, True), ("3-c", 9000, False),
     ("1-elsewhere", 9000, False), (None, 9000, False)],
)  # fmt: skip
def test_a_row_is_late_if_its_trial_ended_after_the_next_driver_had_started(token, seconds, again):
    row = {"driver_token": token, "finished_at": utc(seconds)}
    assert driver_lease.ended_late(row, HISTORY) is again


def test_a_driver_that_lost_the_folder_assigns_no_more_trials(small_sweep, tmp_path):
    trials = build_grid(load_sweep(small_sweep).sweep).trials
    dispatcher = Dispatcher(trials, {}, open_store(tmp_path), owns_folder=lambda: False)
    assert dispatcher.next_assignment() is None
    assert "another driver" in dispatcher.stopped
    assert not dispatcher.over


def test_a_truncated_lease_belongs_to_no_driver(tmp_path):
    (tmp_path / driver_lease.NAME).write_bytes(b'{"host": "no')
    with sole_driver(open_store(tmp_path).files) as held:
        assert not held.lost


def test_on_an_object_store_the_lease_is_read_again_after_writing(monkeypatch):
    monkeypatch.setattr(driver_lease, "SETTLE_SECONDS", 0.0)
    bucket = Folder("mock:///bucket")
    bucket._fs()[0].create_dir("bucket")
    assert bucket.local_path is None
    with sole_driver(bucket), pytest.raises(ValueError, match="is in use by process"), sole_driver(bucket):
        pass
    assert not bucket.exists(driver_lease.NAME)
