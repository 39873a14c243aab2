"""Searches with Optuna: asked for settings and told results by whichever executor runs; rebuilt from rows on resume."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna

from orchestrator.plan.spec import TrialSpec, stage_seed

WORST = 10.0  # objective of a trial that diverged or failed: every real one lies below 1

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass
class Study:
    """One search. Trial n is asked once the trials before it are told, so a search is the same under every executor."""

    study_id: str
    space: Mapping[str, Any]  # setting -> (low, high), or a list of choices
    base: Mapping[str, Any]  # settings that are not searched
    trials: Sequence[TrialSpec]
    first: Mapping[str, Any] | None = None  # settings of trial 0: the defaults, so that the search never does worse
    target: str = "method"  # whose settings: "method" or "training"
    objective_rule: str = ""
    _told: dict[int, tuple[dict[str, Any], float]] = field(default_factory=dict)
    _asked: dict[int, dict[str, Any]] = field(default_factory=dict)

    def ask(self, number: int) -> dict[str, Any]:
        """All settings of trial `number`; the trials before it have been told."""
        if number not in self._asked:
            study = self._rebuilt(number)
            if number == 0 and self.first is not None:
                study.enqueue_trial({name: self.first[name] for name in self.space})
            trial = study.ask(self._distributions())
            self._asked[number] = {**self.base, **trial.params}
        return self._asked[number]

    def tell(self, number: int, settings: Mapping[str, Any], objective: float | None) -> None:
        """Trial `number` ended; None for one that diverged or failed."""
        value = WORST if objective is None or not math.isfinite(objective) else objective
        self._told[number] = ({name: settings[name] for name in self.space}, value)

    def best(self) -> tuple[dict[str, Any], float]:
        """Settings and objective of the best trial; the earlier of equals.

        Raises:
            ValueError: when every trial diverged or failed.
        """
        if not self._told or min(value for _, value in self._told.values()) >= WORST:
            raise ValueError(f"every trial of search {self.study_id} diverged or failed; widen or lower its space")
        number = min(self._told, key=lambda n: (self._told[n][1], n))
        settings, value = self._told[number]
        return {**self.base, **settings}, value

    def objective_of(self, number: int) -> float | None:
        """Objective of trial `number`; None before it is told, or when it diverged or failed."""
        value = self._told.get(number, ({}, WORST))[1]
        return None if value >= WORST else value

    def _rebuilt(self, number: int) -> optuna.Study:
        sampler = optuna.samplers.TPESampler(
            seed=stage_seed("search", self.study_id, number) % 2**32, n_startup_trials=4
        )
        study = optuna.create_study(direction="minimize", sampler=sampler)
        distributions = self._distributions()
        for earlier in range(number):
            if earlier in self._told:
                params, value = self._told[earlier]
                study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=value))
        return study

    def _distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        return {name: _distribution(values) for name, values in self.space.items()}


def _distribution(values: Any) -> optuna.distributions.BaseDistribution:
    if isinstance(values, tuple):
        low, high = values
        return optuna.distributions.FloatDistribution(low, high, log=low > 0)
    return optuna.distributions.CategoricalDistribution(list(values))
