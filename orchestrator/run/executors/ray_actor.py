"""The Ray actor that runs trials, one after another, and commits their rows."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune

from orchestrator.plan.stages import StagePolicy
from orchestrator.results.store import Store
from orchestrator.run.assignment import TRANSIENT, IntermediateResult
from orchestrator.run.executors.ray_searcher import CommittedRow, TrialPayload
from orchestrator.run.guards.unseen_gpu import unseen_gpu
from orchestrator.run.scheduling.circuit_breaker import is_retryable
from orchestrator.run.scheduling.driver_lease import LeasedFolder
from orchestrator.run.setup.context import Limits, WorkerContext

if TYPE_CHECKING:
    from orchestrator.run.trial import Row

SAID_EVERY_SECONDS = 5.0  # between two messages of a running trial to the driver
ENDED = {"done": True, "ended": True}  # Tune sets `done` itself when a scheduler stops a trial; `ended` is ours

_CONTEXTS: dict[tuple[str, str, str, Limits], WorkerContext] = {}  # of this worker process, warm from trial to trial


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """Runs assignments one after another; all work that can fail is in `step`."""

    def setup(self, config: dict[str, Any]) -> None:
        """Keep the assignment; nothing here can fail."""
        self._points: Generator[IntermediateResult, None, Row] | None = None
        self._config = config
        self._said, self._said_at = IntermediateResult(), time.monotonic()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Keep the next assignment; return True and never raise, since either would hang the controller."""
        self._end()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Run the trial to its end, to its next report, or in a search to its next epoch."""
        if problem := unseen_gpu(ray.get_gpu_ids()):
            return {**ENDED, "given_up": problem}
        assignment = self._config["payload"].assignment
        context = self._worker_context()
        watched = self._config["prune"] and assignment.spec.policy.objective == "rule"
        if self._points is None:
            if row := _committed_by_an_earlier_attempt(self._config["payload"], context):
                return {**ENDED, "committed": CommittedRow(row)}
            from orchestrator.run.trial import run_trial  # here: the driver runs no trial

            self._points = run_trial(assignment, context, points=watched, own_process=True)
        try:
            while True:
                point = next(self._points)
                if watched and point.epoch:
                    said = {"said": point} if self._is_worth_saying(point) else {}
                    return {"done": False, "budget_used": point.budget_used, "objective": point.objective, **said}
                if self._is_worth_saying(point):
                    return {"done": False, "said": point}
        except StopIteration as ended:
            self._points = None
            return {**ENDED, "committed": CommittedRow(ended.value)}
        except TRANSIENT as met:
            self._points = None
            if is_retryable(met):
                raise
            return {**ENDED, "given_up": f"{type(met).__name__}: {met}"}

    def _is_worth_saying(self, result: IntermediateResult) -> bool:
        """Whether the driver gets a message: every few seconds, and at both ends of a preparation."""
        due = result.preparing != self._said.preparing or time.monotonic() - self._said_at >= SAID_EVERY_SECONDS
        if due:
            self._said, self._said_at = result, time.monotonic()
        return due

    def cleanup(self) -> None:
        """Commit the row of a trial that a scheduler stopped."""
        self._end()

    def _end(self) -> None:
        points, self._points = self._points, None
        if points is not None:
            with suppress(OSError):  # it cannot commit, on a full disk or for a driver that lost its lease
                points.close()

    def _worker_context(self) -> WorkerContext:
        share = gpus_of(self._config["payload"].assignment.spec.policy, self._config["gpus"], self._config["timed"])
        limits = Limits(**{**self._config["limits"], "gpu_share": share})
        key = (self._config["location"], self._config["driver"], self._config["cache_dir"], limits)
        if key not in _CONTEXTS:
            store = Store(LeasedFolder(self._config["location"], token=self._config["driver"]))
            _CONTEXTS[key] = WorkerContext(
                store, Path(key[2]), cache_limit_gb=float(self._config["cache_limit_gb"]), limits=limits
            )
        return _CONTEXTS[key]

    def get_auto_filled_metrics(self, *given: Any, **named: Any) -> dict[str, Any]:
        """Return what Tune adds to every result, without the config, which the driver would keep per trial."""
        filled: dict[str, Any] = tune.Trainable.get_auto_filled_metrics(self, *given, **named)
        return {name: value for name, value in filled.items() if name != "config"}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing: the results folder is the state."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing."""


def _committed_by_an_earlier_attempt(payload: TrialPayload, context: WorkerContext) -> Mapping[str, Any] | None:
    """Return the row of an attempt whose process died after it had committed; first attempts read nothing."""
    if not payload.is_retry:
        return None
    row = context.store.row(payload.trial_id)
    return None if row is None or str(row["finished_at"]) == payload.replaced else row


def gpus_of(stage: StagePolicy, gpus: float, timed: bool) -> float:
    """Return the GPUs of a trial. If budgets are in seconds (`timed`), a trial that sets or spends one has a GPU to
    itself; trials of a search may share one even then, since they are compared with each other only."""
    return max(1.0, gpus) if timed and not stage.is_tuning else gpus
