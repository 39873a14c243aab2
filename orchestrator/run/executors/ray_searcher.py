"""Ray Tune's side of the dispatcher: a searcher that starts trials and retries lost ones, and ASHA per search."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from orchestrator.run.assignment import Assignment
from orchestrator.run.executors.ray_failures import Failure, failure_of_trial
from orchestrator.run.scheduling.dispatcher import Dispatcher

RETRIES: dict[Failure, float] = {
    "error": 2,  # errors of the moment
    "death": 10,  # a process that always dies is out of memory, or the trial crashes it
    "machine": math.inf,  # the trial is not to blame
}
"""How often a trial runs again after each kind of failure."""

DISPATCHERS: dict[str, Dispatcher] = {}
"""Dispatchers of this process by key; Tune pickles searcher and callbacks at the start, so they have the key only."""

FAILURES: dict[str, tuple[Failure, str]] = {}
"""The failure that ended a trial and its text, by Tune's id, from the scheduler to the searcher."""


class Opaque:
    """A value in a trial's config or result. Tune copies, flattens and prints these, keeps them, and pickles all when a
    launch ends. To Tune, this is one value; it is emptied when the trial ends, so that ten thousand trials cost the
    driver little."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __repr__(self) -> str:
        return type(self).__name__


class TrialPayload(Opaque):
    """An assignment on its way to an actor."""

    def __init__(self, assignment: Assignment, replaced: str = "", *, is_retry: bool = False) -> None:
        """Take the assignment, when the row was written that the trial replaces, and whether an attempt failed."""
        self.assignment, self.trial_id = assignment, assignment.spec.trial_id
        self.replaced, self.is_retry = replaced, is_retry

    def release(self) -> None:
        """Drop the assignment."""
        del self.assignment

    def __repr__(self) -> str:
        return self.trial_id


class CommittedRow(Opaque):
    """The row that an actor committed, on its way to the driver, which need not read it."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.row: Mapping[str, Any] | None = row

    def release(self) -> Mapping[str, Any] | None:
        """Drop the row and return it."""
        row, self.row = self.row, None
        return row


class DispatcherSearcher(Searcher):  # type: ignore[misc]
    """Gives Tune the dispatcher's next assignment, or none while all that can run is running."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        self.running: dict[str, TrialPayload] = {}  # by Tune's trial id
        self.retries: list[Assignment] = []
        self.failures: Counter[tuple[str, Failure]] = Counter()  # by our trial id

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Do nothing: searches are in the dispatcher."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next assignment, None to wait, or FINISHED."""
        dispatcher = DISPATCHERS[self.key]
        is_retry = bool(self.retries) and not dispatcher.stopped
        assignment = self.retries.pop(0) if is_retry else dispatcher.next_assignment()
        if assignment is None:
            return Searcher.FINISHED if dispatcher.over or dispatcher.stopped else None
        replaced = dispatcher.replaced_row(assignment.spec.trial_id)
        self.running[trial_id] = payload = TrialPayload(assignment, replaced, is_retry=is_retry)
        return {"payload": payload}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass on what a running trial does."""
        if (said := result.get("said")) is not None:
            DISPATCHERS[self.key].progressed(self.running[trial_id].trial_id, said)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record the row that the trial's actor returned, or run the trial again.

        Tune's own retries do not distinguish a lost machine from an error of the trial.
        """
        dispatcher, payload = DISPATCHERS[self.key], self.running.pop(trial_id)
        ours, assignment, result = payload.trial_id, payload.assignment, result or {}
        failure, text = FAILURES.pop(trial_id, ("error", ""))
        payload.release()
        committed: CommittedRow | None = result.get("committed")
        if not error and committed is not None:
            dispatcher.record(ours, committed.release())
        elif not error and result and not result.get("ended"):
            dispatcher.record_pruned(ours, result.get("objective"))  # the actor commits the row while it is torn down
        else:
            row = dispatcher.stored_row(ours)  # committed by a process that died afterward
            if error and row is None and self._may_retry(ours, failure):
                self.retries.append(assignment)
                return
            dispatcher.record(ours, row, text or result.get("given_up", ""))

    def _may_retry(self, ours: str, failure: Failure) -> bool:
        self.failures[ours, failure] += 1
        return self.failures[ours, failure] <= RETRIES[failure]

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the results folder is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: every launch starts from the results folder."""


class LeaseStopper(tune.Stopper):  # type: ignore[misc]
    """Ends all trials of a launch whose driver lost the results folder."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return False: no trial is stopped alone."""
        return False

    def stop_all(self) -> bool:
        """Return whether to stop; Tune calls this in every iteration of its loop."""
        return DISPATCHERS[self.key].lost_the_folder()


class FirstInFirstOut(FIFOScheduler):  # type: ignore[misc]
    """Stops no trial; keeps why trials failed, since Tune tells the searcher only that they did."""

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Return the first trial that waits; Tune's own schedulers search all trials, finished ones too."""
        waiting = [trial for trial in tune_controller.get_live_trials() if trial.status == Trial.PENDING]
        return min(waiting, key=lambda trial: str(trial.trial_id), default=None)  # Tune numbers them

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Keep the failure; Tune calls the searcher next."""
        FAILURES[trial.trial_id] = failure_of_trial(trial)


class StudyAsha(FirstInFirstOut):
    """ASHA on `budget_used` (0-1): trials are compared within their own search only."""

    def __init__(self, grace_share: float = 0.25, reduction_factor: float = 2.0) -> None:
        super().__init__()
        self.grace_share, self.reduction_factor = grace_share, reduction_factor
        self.brackets: dict[str, AsyncHyperBandScheduler] = {}

    def _bracket(self, trial: Any) -> AsyncHyperBandScheduler | None:
        study = trial.config["payload"].assignment.spec.study
        if not study:
            return None
        if study["id"] not in self.brackets:
            self.brackets[study["id"]] = AsyncHyperBandScheduler(
                time_attr="budget_used",
                metric="objective",
                mode="min",
                max_t=1.0,
                stop_last_trials=False,  # a last batch goes over 1, and that is no reason to prune
                grace_period=self.grace_share,
                reduction_factor=self.reduction_factor,
            )
        return self.brackets[study["id"]]

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Add a search's trial to its search's bracket."""
        if bracket := self._bracket(trial):
            bracket.on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stop a search's trial that is not in the better half of its search at the same budget."""
        bracket = self._bracket(trial)
        if bracket is None or result.get("objective") is None:
            return str(TrialScheduler.CONTINUE)
        return str(bracket.on_trial_result(tune_controller, trial, result))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Count a finished trial in its bracket."""
        if (bracket := self._bracket(trial)) and result.get("objective") is not None:
            bracket.on_trial_complete(tune_controller, trial, result)
