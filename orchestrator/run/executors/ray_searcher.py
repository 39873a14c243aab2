"""Ray Tune's side of the desk: a searcher that walks the dependency graph, tries again what was lost, and ASHA with a
bracket for each search."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

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

DESKS: dict[str, Dispatcher] = {}
"""Desks of this process by key: Tune pickles searcher and callbacks at the start, so they hold the key only."""

FAILURES: dict[str, tuple[Failure, str]] = {}
"""Kind and text of the error that ended a trial, by Tune's id, from the scheduler to the searcher."""


class TrialPayload:
    """An assignment in a trial's config. Tune copies, flattens and prints configs, keeps each for good, and pickles
    all when a launch ends: to it this is one opaque value, empty once its trial ended, so that ten thousand trials
    cost the driver little."""

    def __init__(self, assignment: Assignment, older: str = "") -> None:
        """`older` is when the row was written that the trial has from before, if it runs again."""
        self.assignment, self.trial_id, self.older = assignment, assignment.spec.trial_id, older

    def let_go(self) -> None:
        """The trial ended: forget what it was."""
        del self.assignment

    def __deepcopy__(self, memo: dict[int, Any]) -> TrialPayload:
        return self

    def __repr__(self) -> str:
        return self.trial_id


class DeskSearcher(Searcher):  # type: ignore[misc]
    """Hands out a trial when what it depends on is in the store; waits otherwise."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        self.taken: dict[str, TrialPayload] = {}  # by Tune's trial id
        self.again: list[Assignment] = []
        self.losses: Counter[tuple[str, str]] = Counter()  # by our trial id and kind of loss

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Nothing to set: searches ask and tell at the desk."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next assignment, None to wait, or FINISHED."""
        dispatcher = DESKS[self.key]
        assignment = self.again.pop(0) if self.again and not dispatcher.stopped else dispatcher.take()
        if assignment is None:
            return Searcher.FINISHED if dispatcher.over or dispatcher.stopped else None
        handed = TrialPayload(assignment, self._finished_at(assignment.spec.trial_id))
        self.taken[trial_id] = handed
        return {"handed": handed}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """A running trial says what it does."""
        if (said := result.get("said")) is not None:
            DESKS[self.key].progressed(self.taken[trial_id].trial_id, said)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The row decides what became of it. A trial that was lost is handed out again: Tune's own retries cannot tell
        a lost machine, which is nobody's fault, from an error of the trial."""
        dispatcher, handed = DESKS[self.key], self.taken.pop(trial_id)
        ours, (kind, text) = handed.trial_id, FAILURES.pop(trial_id, ("error", ""))
        assignment = handed.assignment
        handed.let_go()
        left_a_row = self._finished_at(ours) != handed.older  # a trial that runs again has a row from before
        if error and not left_a_row:
            self.losses[ours, kind] += 1
            if self.losses[ours, kind] <= RETRIES[kind]:
                self.again.append(assignment)
                return
        if not error and result and not result.get("ended") and not left_a_row:
            dispatcher.settle_pruned(ours, result.get("objective"))  # the actor commits the row while it is torn down
            return
        dispatcher.settle(ours, text or (result or {}).get("given_up", ""))

    def _finished_at(self, ours: str) -> str:
        row = DESKS[self.key].store.row(ours)
        return "" if row is None else str(row["finished_at"])

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the store is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: every launch starts anew from the store."""


class LeaseStopper(tune.Stopper):  # type: ignore[misc]
    """Ends all trials of a launch whose driver lost the results folder."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Nothing ends one trial alone."""
        return False

    def stop_all(self) -> bool:
        """Asked at each turn of Tune's loop."""
        return DESKS[self.key].lost_the_folder()


class FirstInFirstOut(FIFOScheduler):  # type: ignore[misc]
    """Stops nothing; notes why trials ended in error, because the searcher hears only that they did."""

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """The first that waits. Tune's own looks through all trials of the launch, finished ones too, at every step."""
        waiting = [trial for trial in tune_controller.get_live_trials() if trial.status == Trial.PENDING]
        return min(waiting, key=lambda trial: str(trial.trial_id), default=None)  # Tune numbers them

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Called just before the searcher hears of the end."""
        FAILURES[trial.trial_id] = failure_of_trial(trial)


class StudyAsha(FirstInFirstOut):
    """ASHA on `budget_used` (0-1): trials are compared within their own search only."""

    def __init__(self, grace_share: float = 0.25, reduction_factor: float = 2.0) -> None:
        super().__init__()
        self.grace_share, self.reduction_factor = grace_share, reduction_factor
        self.brackets: dict[str, AsyncHyperBandScheduler] = {}

    def _bracket(self, trial: Any) -> AsyncHyperBandScheduler | None:
        study = trial.config["handed"].assignment.spec.study
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
        """A search's trial enters its search's bracket."""
        if bracket := self._bracket(trial):
            bracket.on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stop a search's trial that is behind the better half of its search at the same budget."""
        bracket = self._bracket(trial)
        if bracket is None or result.get("objective") is None:
            return str(TrialScheduler.CONTINUE)
        return str(bracket.on_trial_result(tune_controller, trial, result))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """A finished trial counts in its bracket."""
        if (bracket := self._bracket(trial)) and result.get("objective") is not None:
            bracket.on_trial_complete(tune_controller, trial, result)
