"""Report a launch to trackers from a process of their own, so that no tracker can fail, delay or change a trial."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any

from orchestrator.errors import TrackerFailed
from orchestrator.plan.spec import TrialSpec
from orchestrator.results.store import Store
from orchestrator.run.assignment import IntermediateResult
from orchestrator.run.progress.observer import Launch, LaunchObserver, LaunchOutcome
from orchestrator.run.tracking import records

WAIT_SECONDS = 60.0  # for trackers to take the last records, when a launch ends
CONTINUES = "the launch goes on without it, and the results folder has everything"


@contextmanager
def tracked(observer: LaunchObserver, names: Sequence[str], group: str, store: Store) -> Iterator[LaunchObserver]:
    """Yield an observer that reports to trackers too; at the end of the block they get the last records.

    Args:
        observer: receives every event first.
        names: of trackers; with none, `observer` itself is yielded.
        group: the name under which the trackers group the trials.
        store: the results folder, whose curves are logged.
    """
    if not names:
        yield observer
        return
    process = TrackerProcess([store.files.location, *names])
    try:
        yield TrackingObserver(observer, process, group)
    finally:
        process.close()


class TrackerProcess:
    """A process that gets records in the background; it starts with the first one."""

    def __init__(self, arguments: list[str], *, wait_seconds: float = WAIT_SECONDS) -> None:
        """Take the arguments of `orchestrator.run.tracking.process`."""
        self.arguments, self.wait_seconds = arguments, wait_seconds
        self._queue: SimpleQueue[records.Record | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._process: subprocess.Popen[str] | None = None

    def send(self, record: records.Record) -> None:
        """Queue a record; this never waits."""
        if self._process is None:
            self._start()
        self._queue.put(record)

    def close(self) -> None:
        """Let the process finish; stop it when it does not."""
        if self._process is None:
            return
        self._queue.put(None)
        try:
            self._process.wait(self.wait_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _warn(f"{', '.join(self.arguments[1:])} did not take all records within {self.wait_seconds:g} s")
        for thread in self._threads:
            thread.join(1.0)

    def _start(self) -> None:
        # -P: a module in the current folder is not taken for one of a tracker
        command = [sys.executable, "-P", "-m", "orchestrator.run.tracking.process", *self.arguments]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        pipes |= {"encoding": "utf-8", "errors": "replace"}
        self._process = subprocess.Popen(command, start_new_session=True, **pipes)
        for work in (self._write, self._read):
            self._threads.append(threading.Thread(target=work, name="trackers", daemon=True))
            self._threads[-1].start()

    def _write(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(OSError), self._process.stdin as stdin:  # a process that died reads no more
            while (record := self._queue.get()) is not None:
                stdin.write(json.dumps(record) + "\n")
                stdin.flush()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with suppress(ValueError, KeyError, TypeError):  # a tracker's own output is no record
                failed = json.loads(line)
                _warn(f"{failed['tracker']}: {failed['error']}")
        if (code := self._process.wait()) > 0:
            _warn(f"the process of {', '.join(self.arguments[1:])} ended with exit code {code}")


def _warn(what: str) -> None:
    warnings.warn(f"log_to: {what}; {CONTINUES}", TrackerFailed, stacklevel=2)


class TrackingObserver(LaunchObserver):
    """Passes each event on, and reports trials to the trackers."""

    def __init__(self, inner: LaunchObserver, process: TrackerProcess, group: str) -> None:
        """Report to `process`, in the group of the sweep."""
        self.inner, self.process, self.group = inner, process, group

    def preparing(self, what: str) -> None:
        """Pass it on."""
        self.inner.preparing(what)

    def prepared(self, what: str) -> None:
        """Pass it on."""
        self.inner.prepared(what)

    def planned(self, launch: Launch) -> None:
        """Pass it on."""
        self.inner.planned(launch)

    def ready(self, slots: int) -> None:
        """Pass it on."""
        self.inner.ready(slots)

    def started(self, spec: TrialSpec) -> None:
        """Start its run."""
        self.inner.started(spec)
        self.process.send(records.begin(spec, self.group))

    def progressed(self, spec: TrialSpec, result: IntermediateResult) -> None:
        """Have its curve read."""
        self.inner.progressed(spec, result)
        if result.epoch is not None:
            self.process.send(records.progress(spec.trial_id))

    def returned(self, spec: TrialSpec) -> None:
        """End its run as interrupted."""
        self.inner.returned(spec)
        self.process.send(records.left(spec.trial_id))

    def finished(self, spec: TrialSpec, row: Mapping[str, Any]) -> None:
        """End its run with its measures."""
        self.inner.finished(spec, row)
        self.process.send(records.end(row))

    def blocked(self, spec: TrialSpec) -> None:
        """Pass it on."""
        self.inner.blocked(spec)

    def ended(self, outcome: LaunchOutcome | None) -> None:
        """Pass it on."""
        self.inner.ended(outcome)
