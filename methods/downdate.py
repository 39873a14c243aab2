"""Downdate: subtract D_f from the sums of a closed-form head and solve again; exact up to rounding.

Source: Cao and Yang, IEEE S&P 2015 (summation form); methods/closed_form/ridge.py. Needs an original of training kind
`closed_form_head`. Equals that kind's Retrain up to rounding, at the cost of a forward over D_f and one solution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from methods.base import Method, Pass, UnlearningProblem
from methods.closed_form.ridge import RidgeSums, set_head


@dataclass(frozen=True, kw_only=True)
class Downdate(Method):
    """Downdate the head. If the budget ends before that, f is unchanged."""

    label: ClassVar[str] = "Downdate"
    version: ClassVar[int] = 2
    needs_classes: ClassVar[str] = "its closed form is that of a linear classifier"
    edits_weights: ClassVar[bool] = True
    requires_training: ClassVar[str] = "closed_form_head"

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Run no pass: sum over D_f once and solve."""
        if problem.original_artifacts is None:
            raise ValueError(
                f"downdate needs an original of training kind {self.requires_training}; "
                "got one whose training kept no sums"
            )
        sums = RidgeSums.of(problem.original_artifacts)
        set_head(problem, sums.plus(RidgeSums.over(problem, problem.forget), sign=-1.0), charged=True)
        return iter(())
