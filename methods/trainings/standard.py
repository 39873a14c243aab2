"""Standard training: minimize cross-entropy over all weights; keep nothing but the model.

Source: arXiv 2506.00848 §4.1; the passes are Retrain's (docs/decisions/0003).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from methods.base import Pass, TrainingRecipe, UnlearningProblem
from methods.retrain import Retrain


@dataclass(frozen=True, kw_only=True)
class Standard(TrainingRecipe):
    """The default training kind."""

    label: ClassVar[str] = "standard"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield Retrain's one pass."""
        return Retrain().passes(problem)
