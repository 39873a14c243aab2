"""Original: the trained model, without unlearning; every method starts from it.

Source: arXiv 2506.00848 §4.1, f.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from methods.base import Method, Pass, UnlearningProblem


@dataclass(frozen=True, kw_only=True)
class Original(Method):
    """f itself: no pass."""

    label: ClassVar[str] = "Original"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield no pass."""
        return iter(())
