"""Time to the end of a launch: medians of finished trials where a kind has one, the plan's estimates elsewhere."""

from __future__ import annotations

import statistics
from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.plan.cost import Kind
from orchestrator.plan.duration import in_words


@dataclass(frozen=True)
class Remaining:
    """Time that is left."""

    seconds: float
    measured: bool  # every kind of trial that is left has a finished trial

    def __str__(self) -> str:
        """Say it in words, marked where it is an estimate."""
        return f"about {in_words(self.seconds)} left" + ("" if self.measured else " (estimated)")


def remaining(
    pending: Mapping[Kind, int],
    running: Iterable[tuple[Kind, float]],
    medians: Mapping[Kind, float],
    estimates: Mapping[Kind, float],
    slots: int,
) -> Remaining:
    """Estimate the time to the end of a launch.

    Args:
        pending: number of trials of each kind that have not started.
        running: kind of each running trial, and the seconds that it has run.
        medians: seconds of each kind that has a finished trial.
        estimates: seconds of each kind by the plan.
        slots: trials at once.
    """
    seconds = {kind: medians.get(kind, value) for kind, value in estimates.items()}
    left = [seconds[kind] for kind, number in pending.items() if number]
    under_way = list(running)
    rest = [max(0.0, seconds[kind] - spent) for kind, spent in under_way]
    work = sum(number * seconds[kind] for kind, number in pending.items()) + sum(rest)
    kinds = {kind for kind, number in pending.items() if number} | {kind for kind, _ in under_way}
    return Remaining(max([work / max(1, slots), *left, *rest]), measured=kinds <= medians.keys())


class Medians:
    """Medians of the durations of finished trials by kind: those of the results folder until the launch has its own."""

    def __init__(self, before: Mapping[Kind, float] | None = None) -> None:
        """`before` are seconds of each kind that earlier launches measured."""
        self.by_kind: dict[Kind, float] = dict(before or {})
        self._seconds: dict[Kind, list[float]] = {}

    def add(self, kind: Kind, seconds: float) -> None:
        """Record a finished trial."""
        found = self._seconds.setdefault(kind, [])
        insort(found, seconds)
        self.by_kind[kind] = statistics.median(found)
