"""A hang ends the trial: its row contains the stack of what hung, and the run continues."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from methods.scrub import Scrub
from orchestrator import load_sweep, plan_sweep, read_rows, run_sweep
from orchestrator.run.guards import watchdog
from orchestrator.run.guards.watchdog import Hung, Watchdog


def sleeping(self, problem):
    """Passes of a method that hangs before the first one."""
    while True:
        time.sleep(0.05)
    yield


def test_a_hang_is_a_failed_row_with_the_stack_and_the_run_goes_on(
    small_sweep, cache_dir, tmp_path, monkeypatch, injected
):
    def run(*overrides):
        loaded = load_sweep(small_sweep, overrides)
        run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
        return [spec.trial_id for spec in plan_sweep(loaded).grid.trials]

    run("methods=[{name: grad_ascent, epochs: 2}]")  # trains the original, and imports what first steps import
    monkeypatch.setattr(Scrub, "passes", sleeping)
    planned = run("hang_seconds=2.0", "methods=[{name: scrub, epochs: 1}, {name: grad_ascent, epochs: 1}]")
    came = "a `failed` row with the stack of what hung; the rest runs"
    injected("a hang in Python, in one process", came, tmp_path / "r", planned)
    rows = read_rows(tmp_path / "r").set_index("method")
    assert rows.loc["scrub", ["status", "stop_reason"]].tolist() == ["failed", "hang"]
    assert rows.loc["scrub", "error"].endswith("no progress for 2 s (hang_seconds)")  # the line that reports show
    assert "time.sleep(0.05)" in rows.loc["scrub", "error"]
    assert rows.loc[["original", "grad_ascent"], "status"].tolist() == ["done"] * 3


def test_one_long_sleep_of_the_main_thread_is_interrupted():
    with pytest.raises(Hung, match="deep"), Watchdog(0.1):
        deep()


def deep():
    """The function that the report must name."""
    time.sleep(60)


def test_another_thread_is_interrupted_at_its_next_instruction():
    caught = []

    def work():
        try:
            with Watchdog(0.1):
                while True:
                    time.sleep(0.01)
        except Hung as error:
            caught.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert "in work" in caught[0]


def test_a_thread_that_reports_progress_is_not_interrupted():
    with Watchdog(0.4) as dog:
        for _ in range(8):
            time.sleep(0.1)
            dog.beat()


def test_only_the_time_that_making_an_item_takes_is_watched():
    seen = []
    for item in Watchdog(0.1).each(iter([1, 2])):
        time.sleep(0.2)
        seen.append(item)
    assert seen == [1, 2]


def test_a_thread_that_cannot_be_interrupted_is_given_up():
    reports, given_up = [], threading.Event()

    def give_up(report):
        reports.append(report)
        given_up.set()

    def blocking():
        """Block the signal, as a call into C does."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {watchdog.SIGNAL})
        assert given_up.wait(10)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {watchdog.SIGNAL})

    with pytest.raises(Hung), Watchdog(0.1, give_up, grace_seconds=0.1):
        blocking()
    assert "in blocking" in reports[0]


def test_without_a_limit_nothing_is_watched():
    before = threading.active_count()
    with Watchdog(None):
        assert threading.active_count() == before
