"""Which rows of the corpus a method may read: D_f, D_r and D_v; never D_t, holdout or what was forgotten before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from methods.base import Batch
from methods.engine.budget import BudgetMeter


class Reach:
    """Guards what reads by row; reading takes no charged time. A guard against mistakes, not against intent."""

    def __init__(self, rows: int, sets: Sequence[npt.NDArray[np.int64]], budget: BudgetMeter) -> None:
        """`sets` are the rows, out of `rows` of the corpus, that may be read."""
        self.allowed, self.budget = torch.zeros(rows, dtype=torch.bool), budget
        self.allowed[torch.from_numpy(np.concatenate(sets))] = True

    def check(self, rows: Tensor) -> None:
        """Refuse rows that are out of reach.

        Raises:
            ValueError: there are some.
        """
        outside = rows[~self.allowed[rows]]
        if len(outside):
            some = ", ".join(map(str, outside[:5].tolist()))
            raise ValueError(
                f"a method asked for {len(outside)} utterances outside D_f, D_r and D_v (rows {some} of the corpus); "
                "test and holdout data are for evaluation only"
            )

    def guarded(self, fetch: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, Tensor]]:
        """The same features, of allowed rows only."""

        def within(rows: Tensor, *seed: int) -> tuple[Tensor, Tensor]:
            self.check(rows)
            with self.budget.loading():
                return fetch(rows, *seed)

        return within

    def guarded_teacher(self, teacher: Callable[[Batch], Tensor]) -> Callable[[Batch], Tensor]:
        """The same logits, of allowed rows only."""

        def within(batch: Batch) -> Tensor:
            self.check(batch.utterances)
            return teacher(batch)

        return within
