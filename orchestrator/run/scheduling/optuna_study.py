"""Searches with Optuna, the same under every executor: settings on request, results from rows, also on resume."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna

from orchestrator.plan.spec import TrialSpec, stage_seed

WORST = 10.0  # objective of a trial that diverged or failed; a real one is below 1

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass
class Study:
    """One search. The settings of trial n depend on the results of all trials before it, and on nothing else."""

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
        """Return all settings of trial `number`, given the results of the trials before it."""
        if number not in self._asked:
            if number == 0 and self.first is not None:  # inside the space or not
                found = {name: self.first[name] for name in self.space}
            else:
                found = self._rebuilt(number).ask(self._distributions()).params
            self._asked[number] = {**self.base, **found}
        return self._asked[number]

    def tell(self, number: int, settings: Mapping[str, Any], objective: float | None) -> None:
        """Record that trial `number` ended with these settings in its row; no objective if it diverged or failed."""
        value = WORST if objective is None or not math.isfinite(objective) else objective
        self._told[number] = (dict(settings), value)

    def best(self) -> tuple[dict[str, Any], float]:
        """Return settings and objective of the best trial, the first of several equal ones.

        Raises:
            ValueError: every trial diverged or failed.
        """
        if not self._told or min(value for _, value in self._told.values()) >= WORST:
            raise ValueError(
                f"every trial of search {self.study_id} diverged or failed; widen its space, or lower its rates"
            )
        number = min(self._told, key=lambda n: (self._told[n][1], n))
        settings, value = self._told[number]
        return {**self.base, **settings}, value

    def objective_of(self, number: int) -> float | None:
        """Return the objective of trial `number`; None if it has not ended, diverged or failed."""
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
                settings, value = self._told[earlier]
                params = {name: settings[name] for name in self.space}
                if not all(holds(self.space[name], chosen) for name, chosen in params.items()):
                    continue  # a default outside the space: the sampler cannot use it
                study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=value))
        return study

    def _distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        return {name: _distribution(values) for name, values in self.space.items()}


def holds(values: Any, chosen: Any) -> bool:
    """Return whether a setting is in its space: a tuple of bounds, or a list of choices."""
    return bool(values[0] <= chosen <= values[1]) if isinstance(values, tuple) else chosen in values


def _distribution(values: Any) -> optuna.distributions.BaseDistribution:
    if isinstance(values, tuple):
        low, high = values
        return optuna.distributions.FloatDistribution(low, high, log=low > 0)
    return optuna.distributions.CategoricalDistribution(list(values))
