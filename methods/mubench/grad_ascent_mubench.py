"""GradAscent as MU-Bench's code runs it on audio: 5 epochs of ascent on D_f at the original's learning rate.

Source: chengjiali/MU-Bench, m3u/trainer.py and audio/unlearn; text and images have a smaller rate for ascent there.
Differs: see methods/mubench/quirks.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from methods.base import Method, Pass, UnlearningProblem
from methods.grad_ascent import GradAscent
from methods.mubench.quirks import SCHEDULE


@dataclass(frozen=True, kw_only=True)
class GradAscentMubench(Method):
    """GradAscent under the shared recipe."""

    label: ClassVar[str] = "GradAscent (MU-Bench code)"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""

    learning_rate: float = 5e-5  # highest of its schedule
    epochs: int = 5  # epochs over D_f
    batch_size: int = 32

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield GradAscent's pass with warm-up and decay."""
        method = GradAscent(learning_rate=self.learning_rate, epochs=self.epochs, batch_size=self.batch_size)
        for current in method.passes(problem):
            yield replace(current, **SCHEDULE)
