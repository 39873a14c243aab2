"""A pause is not charged and is no hang; computing is charged, even while no other thread can run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from orchestrator.run.guards import running_clock
from orchestrator.run.guards.running_clock import RunningClock
from orchestrator.run.guards.watchdog import Watchdog

STOPPED = """
import time
from methods.engine.budget import BudgetMeter
from orchestrator.run.guards.running_clock import RunningClock
from orchestrator.run.guards.watchdog import Watchdog
started = time.perf_counter()
with RunningClock() as clock, Watchdog(3.0, clock=clock):
    budget = BudgetMeter(clock=clock)
    print("charging", flush=True)
    with budget.charging(1):
        input()
    with budget.evaluating():
        pass
print(budget.seconds, time.perf_counter() - started, flush=True)
"""


def test_a_stopped_process_is_charged_nothing_and_does_not_hang():
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    assert process.stdout.readline() == "charging\n"
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(running_clock.PAUSE_SECONDS + 0.7)
    os.kill(process.pid, signal.SIGCONT)
    printed, _ = process.communicate("\n", timeout=60)
    charged, passed = map(float, printed.split())
    assert charged < passed - running_clock.PAUSE_SECONDS


class Times:
    """The clocks of a process, set by a test."""

    now = busy = 0.0

    def pass_by(self, seconds: float, computing: float) -> None:
        self.now, self.busy = self.now + seconds, self.busy + computing


@pytest.fixture
def times():
    return Times()


@pytest.fixture
def clock(times):
    return RunningClock(lambda: times.now, lambda: times.busy)


@pytest.mark.parametrize(
    ("seconds", "computing", "counted"),
    [(2.9, 0.0, 2.9), (60.0, 60.0, 60.0), (60.0, 30.0, 60.0), (60.0, 0.2, 0.2), (3.2, 0.3, 0.3)],
    ids=["short", "a call that blocks other threads", "the same on a busy machine", "a pause", "a short pause"],
)
def test_only_a_long_gap_without_computing_is_a_pause(times, clock, seconds, computing, counted):
    times.pass_by(seconds, computing)
    assert clock() == pytest.approx(counted)
    times.pass_by(1.0, 0.0)
    assert clock() == pytest.approx(counted + 1)


def test_waiting_for_a_device_or_a_disk_counts(monkeypatch):
    monkeypatch.setattr(running_clock, "PAUSE_SECONDS", 1.0)
    monkeypatch.setattr(running_clock, "TICK_SECONDS", 0.05)
    with RunningClock() as clock:
        started = clock()
        time.sleep(1.3)
        assert clock() - started >= 1.3


def test_a_hang_after_a_pause_is_a_hang(times, clock):
    dog = Watchdog(10.0, clock=clock)
    dog.beat()
    times.pass_by(300.0, 0.0)
    assert clock() - dog._last_beat < 10.0
    for _ in range(5):
        times.pass_by(2.5, 0.0)
        clock()
    assert clock() - dog._last_beat > 10.0
