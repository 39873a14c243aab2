"""A Ray that starts while a command plans is the one that the launch uses, or is stopped."""

from __future__ import annotations

import threading

import pytest
import ray

from orchestrator.run.cores import available_cores
from orchestrator.run.executors import ray_early, ray_start


@pytest.fixture
def starts(monkeypatch):
    """Arguments of each start of Ray, with the thread that made it; none is made."""
    made = []

    def start(address, num_cpus):
        made.append((address, num_cpus, threading.current_thread()))
        return True

    monkeypatch.setattr(ray_start, "start", start)
    monkeypatch.setattr(ray_early, "_starting", [])
    return made


def test_without_an_early_start_there_is_none_to_wait_for(starts):
    assert not ray_early.finish_start(1)
    assert starts == []


def test_a_launch_uses_the_ray_that_was_started_early_once(starts):
    ray_early.start_early()
    assert ray_early.finish_start(available_cores())
    assert not ray_early.finish_start(available_cores())
    ((address, num_cpus, thread),) = starts
    assert (address, num_cpus) == (None, available_cores())
    assert thread.is_alive()  # Linux ends Ray's processes with it
    assert thread.daemon  # the exit of the command does not wait for it


def test_a_ray_with_too_few_processors_is_stopped(starts, monkeypatch):
    stopped = []
    monkeypatch.setattr(ray, "shutdown", lambda: stopped.append(True))
    ray_early.start_early()
    assert not ray_early.finish_start(available_cores() + 1)
    assert stopped


def test_an_error_of_the_start_is_raised_where_the_launch_waits(monkeypatch, starts):
    def fails(address, num_cpus):
        raise ValueError("RAY_TMPDIR is too long")

    monkeypatch.setattr(ray_start, "start", fails)
    ray_early.start_early()
    with pytest.raises(ValueError, match="RAY_TMPDIR is too long"):
        ray_early.finish_start(1)
