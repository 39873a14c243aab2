"""A process is recognized while it runs and known to have ended afterward, with /proc and without it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import pytest

from orchestrator.results.store import open_store
from orchestrator.run.scheduling import process_identity
from orchestrator.run.scheduling.driver_lease import NAME, sole_driver
from orchestrator.run.scheduling.process_identity import has_ended, machine, start_of

REUSED = "1"  # when no process of this machine started, by either source


@pytest.fixture(params=["with /proc", "without /proc"])
def source(request, tmp_path, monkeypatch):
    if request.param == "without /proc":
        monkeypatch.setattr(process_identity, "PROC", tmp_path / "none")  # psutil still finds the real one
    elif not process_identity.PROC.exists():
        pytest.skip("this machine has no /proc")
    return request.param


@pytest.fixture
def other_process():
    """A process that waits for its standard input to close."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    yield process
    process.kill()
    process.communicate()


def until_ended(pid: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and start_of(pid) is not None:
        time.sleep(0.01)


def test_a_running_process_has_not_ended(source, other_process):
    for pid in (os.getpid(), other_process.pid):
        assert has_ended(machine(), pid, start_of(pid)) is False


def test_a_killed_process_has_ended_before_its_parent_reaps_it(source, other_process):
    start = start_of(other_process.pid)
    os.kill(other_process.pid, signal.SIGKILL)
    until_ended(other_process.pid)
    assert other_process.returncode is None  # it was not reaped
    assert has_ended(machine(), other_process.pid, start) is True


def test_a_reaped_process_has_ended(source, other_process):
    start = start_of(other_process.pid)
    other_process.kill()
    other_process.communicate()
    assert has_ended(machine(), other_process.pid, start) is True


def test_another_process_with_the_same_id_is_never_taken_for_it(source):
    assert has_ended(machine(), os.getpid(), REUSED) is (True if source == "with /proc" else None)


@pytest.mark.parametrize("identity", [("elsewhere", "1"), ("", "1"), (None, "")])
def test_a_process_of_another_machine_or_of_unknown_start_may_run(source, identity):
    machine_id, start = identity
    assert has_ended(machine() if machine_id is None else machine_id, os.getpid(), start) is None


@pytest.mark.parametrize("pid", [-1, 10**12])
def test_an_impossible_id_is_no_process(source, pid):
    assert start_of(pid) is None


@pytest.mark.parametrize("start", ["soon", "nan", "[]"])
def test_a_start_that_is_no_time_says_nothing_without_proc(tmp_path, monkeypatch, start):
    monkeypatch.setattr(process_identity, "PROC", tmp_path / "none")
    assert has_ended(machine(), os.getpid(), start) is None


def test_identities_with_and_without_proc_differ(tmp_path, monkeypatch):
    with_proc = machine()
    monkeypatch.setattr(process_identity, "PROC", tmp_path / "none")
    assert machine() not in ("", with_proc)


def test_a_proc_that_shows_no_boot_identifies_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(process_identity, "PROC", tmp_path)
    assert machine() == ""
    assert has_ended(machine(), os.getpid(), REUSED) is None


def test_a_live_driver_is_refused_and_a_dead_one_replaced_without_proc(tmp_path, monkeypatch, other_process):
    monkeypatch.setattr(process_identity, "PROC", tmp_path / "none")
    files = open_store(tmp_path / "r").files
    with sole_driver(files) as held:
        lease = {**asdict(held.lease), "token": "another"}
        for pid in (os.getpid(), other_process.pid):
            (tmp_path / "r" / NAME).write_text(json.dumps({**lease, "pid": pid, "process": start_of(pid)}))
            with pytest.raises(ValueError, match=f"in use by process {pid}"), sole_driver(files):
                pass
        other_process.kill()
        other_process.communicate()
        with sole_driver(files) as next_held:
            assert next_held.lease.token > held.lease.token


def test_psutil_is_loaded_only_without_proc():
    script = """
import os, sys
from orchestrator.run.scheduling.process_identity import machine, start_of
machine(), start_of(os.getpid())
assert "psutil" not in sys.modules
"""
    if not process_identity.PROC.exists():
        pytest.skip("this machine has no /proc")
    subprocess.run([sys.executable, "-c", script], check=True)
