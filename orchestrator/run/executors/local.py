"""The local executor: the same trials in one process, in the same order, without Ray."""

from __future__ import annotations

import time
import traceback
from contextlib import suppress

from orchestrator.errors import StoppedEarly, sigterm_as_interrupt
from orchestrator.run.assignment import TRANSIENT
from orchestrator.run.guards.device_errors import DeviceFailed
from orchestrator.run.scheduling.circuit_breaker import is_retryable
from orchestrator.run.scheduling.dispatcher import Dispatcher
from orchestrator.run.setup.context import WorkerContext
from orchestrator.run.trial import run_trial

ATTEMPTS = 3


def run_local(dispatcher: Dispatcher, context: WorkerContext) -> None:
    """Run all that the dispatcher hands out; errors of the moment are tried again twice, then become a row.

    Ctrl-C and SIGTERM end the launch, as under Ray; trials are left then.
    """
    dispatcher.observer.ready(1)
    with suppress(KeyboardInterrupt), sigterm_as_interrupt():
        while (assignment := dispatcher.take()) is not None:
            error = ""
            for attempt in range(ATTEMPTS):
                try:
                    for result in run_trial(assignment, context):
                        dispatcher.progressed(assignment.spec.trial_id, result)
                    break
                except DeviceFailed as failed:
                    raise StoppedEarly(
                        f"{failed}\nGive the same command again: it goes on with this trial."
                    ) from failed
                except TRANSIENT as met:
                    error = traceback.format_exc()
                    if not is_retryable(met):
                        break
                    time.sleep(0.5 * attempt)
            dispatcher.settle(assignment.spec.trial_id, error)
