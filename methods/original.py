"""Original: the model as trained, unlearning nothing; the first line of every table.

Source: arXiv 2506.00848 §4.1, f.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from methods.base import Method, Pass, UnlearningProblem


@dataclass(frozen=True, kw_only=True)
class Original(Method):
    """No pass at all."""

    label: ClassVar[str] = "Original"
    version: ClassVar[int] = 1

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Nothing."""
        return iter(())
