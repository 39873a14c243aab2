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
        if self.seconds < 1:
            return "almost done"
        return f"about {in_words(self.seconds)} left" + ("" if self.measured else " (estimated)")


@dataclass(frozen=True)
class Started:
    """A running trial."""

    kind: Kind
    seconds: float  # that it has run
    share_done: float = 0.0  # of the epochs of its pass; 0 when it reported none

    def rest(self, expected: float) -> float:
        """Seconds until it ends: what is expected of its kind, or more where its epochs take longer."""
        by_epochs = self.seconds * (1 / self.share_done - 1) if self.share_done else 0.0
        return max(expected - self.seconds, by_epochs, 0.0)


def remaining(
    pending: Mapping[Kind, int],
    running: Iterable[Started],
    medians: Mapping[Kind, float],
    estimates: Mapping[Kind, float],
    slots: int,
) -> Remaining:
    """Estimate the time to the end of a launch.

    A kind without a finished trial counts with its estimate, scaled by how measured kinds compare with theirs: another
    processor, or a busy one, is slower for all.

    Args:
        pending: number of trials of each kind that have not started.
        running: the running trials.
        medians: seconds of each kind that has a finished trial.
        estimates: seconds of each kind by the plan.
        slots: trials at once.
    """
    known = [kind for kind in estimates if kind in medians]
    pace = sum(medians[kind] for kind in known) / sum(estimates[kind] for kind in known) if known else 1.0
    seconds = {kind: medians.get(kind, pace * value) for kind, value in estimates.items()}
    left = [seconds[kind] for kind, number in pending.items() if number]
    under_way = list(running)
    rest = [trial.rest(seconds[trial.kind]) for trial in under_way]
    work = sum(number * seconds[kind] for kind, number in pending.items()) + sum(rest)
    kinds = {kind for kind, number in pending.items() if number} | {trial.kind for trial in under_way}
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
