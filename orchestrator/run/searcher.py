"""Ray Tune's side of the desk: a searcher that walks the dependency graph, and ASHA with a bracket for each search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from orchestrator.run.desk import Desk
from orchestrator.run.trial import Assignment

DESKS: dict[str, Desk] = {}
"""Desks of this process by key: Tune pickles searcher and callbacks at the start, so they hold the key only."""


@dataclass(frozen=True, repr=False)
class Handed:
    """An assignment in a trial's config. Tune copies, flattens and prints configs, and keeps each for good: to it this
    is one opaque value, so that ten thousand trials cost the driver little."""

    assignment: Assignment

    def __deepcopy__(self, memo: dict[int, Any]) -> Handed:
        return self

    def __repr__(self) -> str:
        return self.assignment.spec.trial_id


class DeskSearcher(Searcher):  # type: ignore[misc]
    """Hands out a trial when what it depends on is in the store; waits otherwise."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        self.ours: dict[str, str] = {}  # Tune's trial id to ours

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Nothing to set: searches ask and tell at the desk."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next assignment, None to wait, or FINISHED."""
        desk = DESKS[self.key]
        assignment = desk.take()
        if assignment is None:
            return Searcher.FINISHED if desk.over or desk.stopped else None
        self.ours[trial_id] = assignment.spec.trial_id
        return {"handed": Handed(assignment)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The trial's row decides what became of it; retries are used up when this is called with an error."""
        desk, ours = DESKS[self.key], self.ours.pop(trial_id)
        if not error and result and not result.get("done") and desk.store.row(ours) is None:
            desk.settle_pruned(ours, result.get("objective"))  # the actor commits the row while it is torn down
            return
        desk.settle(ours, desk.errors.pop(ours, "") or (result or {}).get("given_up", ""))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the store is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: every launch starts anew from the store."""


class KeepErrors(tune.Callback):  # type: ignore[misc]
    """Carries the text of a trial's last error to the desk."""

    def __init__(self, key: str) -> None:
        self.key = key

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called before the searcher hears of the error."""
        ours = trial.config["handed"].assignment.spec.trial_id
        error = trial.get_error()
        DESKS[self.key].errors[ours] = str(error) if error else ""


class StudyAsha(FIFOScheduler):  # type: ignore[misc]
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
