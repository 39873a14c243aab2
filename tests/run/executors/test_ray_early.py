"""A Ray that starts while a command plans is the one that the launch uses, or is stopped."""

from __future__ import annotations

import threading

import pytest
import ray

from orchestrator.run.cores import available_cores
from orchestrator.run.executors import ray_early, ray_start


@pytest.fixture
def ray_log(monkeypatch):
    """What would be done to Ray, in order, with the thread that does it."""
    made = []

    def start(address, num_cpus):
        made.append(("start", address, num_cpus, threading.current_thread()))
        return True

    monkeypatch.setattr(ray_start, "start", start)
    monkeypatch.setattr(ray, "shutdown", lambda: made.append(("stop",)))
    monkeypatch.setattr(ray_early, "_starting", [])
    return made


def wait_for_thread(log) -> None:
    log[0][3].join(timeout=10)
    assert not log[0][3].is_alive()


def test_without_an_early_start_there_is_none_to_take(ray_log):
    with ray_early.early_start(wanted=False):
        assert not ray_early.finish_start(1)
    assert ray_log == []


def test_a_launch_takes_the_ray_that_was_started_early_once(ray_log):
    with ray_early.early_start(wanted=True):
        assert ray_early.finish_start(available_cores())
        assert not ray_early.finish_start(available_cores())
        assert ray_log[0][3].is_alive()  # Linux ends Ray's processes with it
    wait_for_thread(ray_log)
    assert [entry[:3] for entry in ray_log] == [("start", None, available_cores())]


def test_a_ray_that_no_launch_takes_is_stopped_and_the_mistake_is_raised(ray_log):
    with pytest.raises(ValueError, match="no such class"), ray_early.early_start(wanted=True):
        raise ValueError("no such class")
    wait_for_thread(ray_log)
    assert [entry[0] for entry in ray_log] == ["start", "stop"]


def test_a_ray_with_too_few_processors_is_stopped_once(ray_log):
    with ray_early.early_start(wanted=True):
        assert not ray_early.finish_start(available_cores() + 1)
    wait_for_thread(ray_log)
    assert [entry[0] for entry in ray_log] == ["start", "stop"]


def test_an_error_of_the_start_is_raised_where_the_launch_waits(monkeypatch, ray_log):
    def fails(address, num_cpus):
        raise ValueError("RAY_TMPDIR is too long")

    monkeypatch.setattr(ray_start, "start", fails)
    with ray_early.early_start(wanted=True), pytest.raises(ValueError, match="RAY_TMPDIR is too long"):
        ray_early.finish_start(1)
    assert ray_log == []
