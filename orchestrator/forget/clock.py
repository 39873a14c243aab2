"""Seconds that each step of a removal request takes."""

from __future__ import annotations

import time


class Clock:
    """Seconds by step: `with clock("reading"): …` adds to a step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._step, self._since = "", 0.0

    def __call__(self, step: str) -> Clock:
        """Name the step that the next `with` measures."""
        self._step = step
        return self

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self._step] = self.seconds.get(self._step, 0.0) + time.perf_counter() - self._since
