from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from orchestrator import load_sweep, read_rows, run_sweep
from orchestrator.files import Folder
from orchestrator.plan.grid import build_grid
from orchestrator.results import open_store
from orchestrator.run import lease
from orchestrator.run.desk import Desk
from orchestrator.run.lease import sole_driver

DRIVER = """
import sys
from orchestrator.results import open_store
from orchestrator.run.lease import sole_driver
with sole_driver(open_store(sys.argv[1]).files):
    print("driving", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_driver(tmp_path):
    """A driver of `tmp_path / "r"` in a process of its own, ended like a crash."""
    command = [sys.executable, "-c", DRIVER, str(tmp_path / "r")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "driving\n"
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def rewritten(folder, **changes) -> None:
    path = folder / lease.NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_second_driver_is_refused_by_name_and_changes_nothing(
    other_driver, small_sweep, tmp_path, cache_dir, injected
):
    before = sorted(p.name for p in (tmp_path / "r").iterdir())
    with pytest.raises(ValueError, match="another driver works on this results folder: got process") as refused:
        run_sweep(load_sweep(small_sweep), tmp_path / "r", executor="local", cache_dir=cache_dir)
    injected("a second driver on the same folder", "refused by name before it changes anything")
    assert f"process {other_driver.pid} on {socket.gethostname()}, since 20" in str(refused.value)
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == before


def test_the_lease_of_a_killed_driver_is_taken_over_at_once(other_driver, small_sweep, tmp_path, cache_dir, injected):
    os.kill(other_driver.pid, signal.SIGKILL)  # and not reaped: what is left of it is no driver either
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and lease._process(other_driver.pid) is not None:
        time.sleep(0.01)
    loaded = load_sweep(small_sweep, ["methods=[original]"])
    assert run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir).over
    planned = [spec.trial_id for spec in build_grid(loaded.sweep).trials]
    injected("a driver dies and leaves its lease", "the next takes the folder at once", tmp_path / "r", planned)
    assert len(read_rows(tmp_path / "r")) == 2
    assert not (tmp_path / "r" / lease.NAME).exists()


def test_a_number_used_again_by_another_process_is_no_driver(tmp_path):
    files = open_store(tmp_path).files
    with sole_driver(files):
        rewritten(tmp_path, token="an earlier one", process="1")
        with sole_driver(files):
            pass


def test_a_driver_elsewhere_counts_as_dead_once_its_heart_stopped(tmp_path):
    files = open_store(tmp_path).files
    with sole_driver(files):
        rewritten(tmp_path, token="theirs", machine="elsewhere", host="node7", beat_seconds=time.time() - 5)
        with pytest.raises(ValueError, match=r"on node7, since .* heard of 5 s ago"), sole_driver(files):
            pass
        rewritten(tmp_path, beat_seconds=time.time() - lease.DEAD_AFTER_SECONDS - 1)
        with sole_driver(files) as held:
            assert json.loads((tmp_path / lease.NAME).read_text())["token"] == held.lease.token


def test_a_heart_beats_and_notices_that_the_folder_was_taken_over(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.02)
    with sole_driver(open_store(tmp_path).files) as held:
        deadline = time.monotonic() + 10
        while json.loads((tmp_path / lease.NAME).read_text())["beat_seconds"] == held.lease.beat_seconds:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with lease._locked(open_store(tmp_path).files):
            rewritten(tmp_path, token="theirs")
        while not held.lost:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert json.loads((tmp_path / lease.NAME).read_text())["token"] == "theirs"  # and is left alone


def test_who_lost_the_folder_hands_out_nothing_more(small_sweep, tmp_path):
    trials = build_grid(load_sweep(small_sweep).sweep).trials
    desk = Desk(trials, {}, open_store(tmp_path), ours=lambda: False)
    assert desk.take() is None
    assert "another driver" in desk.stopped
    assert not desk.over


def test_a_torn_lease_is_nobodys(tmp_path):
    (tmp_path / lease.NAME).write_bytes(b'{"host": "no')
    with sole_driver(open_store(tmp_path).files) as held:
        assert not held.lost


def test_on_an_object_store_the_lease_is_read_back(monkeypatch):
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.0)
    bucket = Folder("mock:///bucket")
    bucket._fs()[0].create_dir("bucket")
    assert bucket.local_path is None
    with sole_driver(bucket), pytest.raises(ValueError, match="another driver"), sole_driver(bucket):
        pass
    assert not bucket.exists(lease.NAME)
