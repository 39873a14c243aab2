"""One trial, on one page: prepare, unlearn, evaluate, save, and the row that is composed of what they found."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from methods.engine.loop import Diverged
from orchestrator.errors import type_and_first_line
from orchestrator.run.assignment import TRANSIENT, Assignment, IntermediateResult
from orchestrator.run.evaluation.row import end_columns, start_columns
from orchestrator.run.guards.device_errors import DeviceFailed, is_device_failure, is_out_of_memory
from orchestrator.run.guards.out_of_memory import MemorySpent, retry_with_smaller_batches
from orchestrator.run.guards.running_clock import RunningClock
from orchestrator.run.guards.watchdog import Hung, Watchdog
from orchestrator.run.setup.checkpoints import EpochCheckpoint
from orchestrator.run.setup.context import WorkerContext
from orchestrator.run.step_results import Evaluated, Prepared, Saved, Unlearned
from orchestrator.run.trial_steps import evaluate, prepare, save, unlearn

Row = Mapping[str, Any]


def run_trial(
    assignment: Assignment, context: WorkerContext, *, points: bool = False, own_process: bool = False
) -> Generator[IntermediateResult, None, Row]:
    """Run a trial and commit its row, which is returned; yield each phase and epoch, with the objective if `points`.

    A trial that diverges, fails or hangs is a row as well. If `own_process`, this process is ended when nothing else
    ends a hang; the row is committed first.

    Raises:
        OSError: an error of the moment, `TRANSIENT`; the trial can be run again.
        DeviceFailed: this process cannot use the device any more.
    """
    spec = assignment.spec
    started = time.time()
    start = start_columns(assignment, context, started)
    epochs, clock, steps = EpochCheckpoint(context.store, spec.trial_id), RunningClock(), Steps()

    def commit(**ending: Any) -> Row:
        row = {**start, **steps.columns(), **ending, **end_columns(started)}
        context.store.commit(row)
        return row

    def forget() -> None:
        steps.clear()
        epochs.drop()

    def give_up(report: str) -> None:
        try:
            if not _is_done(context, spec.trial_id):
                commit(status="failed", stop_reason="hang", error=report)
        finally:
            os._exit(1)

    def attempt(micro_batch: int | None) -> Generator[IntermediateResult, None, None]:
        watchdog = Watchdog(context.limits.hang_seconds, give_up if own_process else None, clock=clock)
        try:
            yield from steps.run(assignment, context, watchdog, clock, micro_batch, points=points)
        except Exception as error:  # outside of the batches of a method
            if is_out_of_memory(error):
                raise MemorySpent(0, type_and_first_line(error)) from error
            raise

    ending: dict[str, Any] = {"status": "done"}
    try:
        if missing := context.missing(spec):
            yield IntermediateResult(phase="preparing", preparing=missing)
        with clock:
            yield from retry_with_smaller_batches(
                attempt, context.max_micro_batch(spec), context.known_micro_batch(spec), forget, context.drop_features
            )
    except Hung as error:
        ending = {"status": "failed", "stop_reason": "hang", "error": str(error)}
    except Diverged as error:
        ending = {"status": "diverged", "stop_reason": "diverged", "error": str(error)}
    except TRANSIENT:
        raise
    except GeneratorExit:
        if points:  # a scheduler stopped this trial of a search; any other runs again
            commit(status="pruned", stop_reason="pruned")
        raise
    except Exception as error:
        if is_device_failure(error):
            raise DeviceFailed(
                f"the device failed, and this process cannot use it any more: {type_and_first_line(error)}"
            ) from error
        ending = {"status": "failed", "stop_reason": "error", "error": traceback.format_exc()}
    if ending["status"] != "done" and _is_done(context, spec.trial_id):
        raise OSError(f"the trial ran again because its model is needed, and failed: {ending['error']}")
    row = commit(**ending)
    with suppress(OSError):  # the row is committed: nothing needs another attempt
        epochs.drop()
    return row


def _is_done(context: WorkerContext, trial_id: str) -> bool:
    """Return whether a trial that runs again for its model has a finished row: its measures are kept."""
    row = context.store.row(trial_id)
    return row is not None and row["status"] == "done"


@dataclass
class Steps:
    """The steps of a trial that have ended, from which its row is composed."""

    prepared: Prepared | None = None
    unlearned: Unlearned | None = None
    evaluated: Evaluated | None = None
    saved: Saved | None = None
    objective: float | None = None  # at the last epoch, of a trial that reports it

    def run(
        self,
        assignment: Assignment,
        context: WorkerContext,
        watchdog: Watchdog,
        clock: RunningClock,
        micro_batch: int | None,
        *,
        points: bool,
    ) -> Generator[IntermediateResult, None, None]:
        """Run the four steps."""
        self.prepared = prepare(assignment, context, watchdog, clock, micro_batch)
        policy = assignment.spec.policy
        yield IntermediateResult(phase="training" if policy.trains else "unlearning")
        for point in unlearn(self.prepared, self._report, points=points):
            self.objective = point.objective
            yield point
        yield IntermediateResult(phase="evaluating")
        self.evaluated = evaluate(self.prepared)
        if assignment.spec.evidence and policy.runs_probes:
            yield IntermediateResult(phase="attack tests")
        self.saved = save(self.prepared, self.evaluated)

    def clear(self) -> None:
        """Drop what an attempt left, its model included, so that the next one has the memory."""
        self.prepared = self.unlearned = self.evaluated = self.saved = self.objective = None

    def _report(self, unlearned: Unlearned) -> None:
        self.unlearned = unlearned

    def columns(self) -> dict[str, Any]:
        """Return what the steps add to the row, the later ones last."""
        row: dict[str, Any] = {"objective": self.objective}
        for step in (self.prepared, self.unlearned, self.evaluated, self.saved):
            row |= step.columns() if step else {}
        if self.evaluated:
            row["evaluation_seconds"] += self.evaluated.seconds + (self.saved.probe_seconds if self.saved else 0.0)
        return row
