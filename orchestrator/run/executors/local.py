"""The local executor: the trials in this process, one after another, without Ray."""

from __future__ import annotations

import time
import traceback
from contextlib import suppress

from orchestrator.errors import StoppedEarly, sigterm_as_interrupt
from orchestrator.run.assignment import TRANSIENT, Assignment
from orchestrator.run.guards.device_errors import DeviceFailed
from orchestrator.run.scheduling.circuit_breaker import is_retryable
from orchestrator.run.scheduling.dispatcher import Dispatcher
from orchestrator.run.setup.context import WorkerContext
from orchestrator.run.trial import Row, run_trial

ATTEMPTS = 3


def run_local(dispatcher: Dispatcher, context: WorkerContext) -> None:
    """Run all assignments of the dispatcher; a trial has three attempts before an error of the moment is its row.

    Ctrl-C and SIGTERM end the loop, as under Ray; the dispatcher is not over then.

    Raises:
        StoppedEarly: the device failed, and this process cannot use it any more.
    """
    dispatcher.observer.ready(1)
    with suppress(KeyboardInterrupt), sigterm_as_interrupt():
        while (assignment := dispatcher.next_assignment()) is not None:
            row, error = None, ""
            for attempt in range(ATTEMPTS):
                try:
                    row = _run(dispatcher, assignment, context)
                    break
                except DeviceFailed as failed:
                    raise StoppedEarly(
                        f"{failed}\nGive the same command again: it continues with this trial."
                    ) from failed
                except TRANSIENT as met:
                    error = traceback.format_exc()
                    if not is_retryable(met):
                        break
                    time.sleep(0.5 * attempt)
            trial_id = assignment.spec.trial_id
            dispatcher.record(trial_id, dispatcher.stored_row(trial_id) if row is None else row, error)


def _run(dispatcher: Dispatcher, assignment: Assignment, context: WorkerContext) -> Row:
    """Run a trial to its end and report its progress; return the row that it committed."""
    running = run_trial(assignment, context)
    while True:
        try:
            progress = next(running)
        except StopIteration as ended:
            row: Row = ended.value
            return row
        dispatcher.progressed(assignment.spec.trial_id, progress)
