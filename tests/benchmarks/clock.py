"""Side by side: work timed in turns in one process, so that a busy neighbor disturbs all sides alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """Seconds of the same work, one a round."""

    seconds: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        """Median and range in ms."""
        low, high = min(self.seconds), max(self.seconds)
        return f"{1e3 * self.median:.1f} ({1e3 * low:.1f}–{1e3 * high:.1f})"


def in_turns(*sides: Callable[[], object], rounds: int) -> list[Times]:
    """Times of each side over `rounds`, taking turns; a first round is not counted."""
    seconds: list[list[float]] = [[] for _ in sides]
    for number in range(rounds + 1):
        for side, work in enumerate(sides):
            started = time.perf_counter()
            work()
            if number:
                seconds[side].append(time.perf_counter() - started)
    return [Times(side) for side in seconds]


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return [*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)]


def verdict(reached: float, target: float, *, at_most: bool) -> str:
    """The target, and whether the figure reaches it."""
    met = reached <= target if at_most else reached >= target
    return f"{'≤' if at_most else '≥'} {target:g}: {'met' if met else '**not met**'}"
