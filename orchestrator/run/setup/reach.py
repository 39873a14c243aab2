"""The rows of the corpus that a method may read: D_f, D_r and D_v; never D_t, holdout or what was forgotten before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from methods.base import Batch
from methods.engine.budget import BudgetMeter


class Reach:
    """Refuses other rows, and charges no time for reading. It prevents mistakes, not attacks."""

    def __init__(self, rows: int, sets: Sequence[npt.NDArray[np.int64]], budget: BudgetMeter) -> None:
        """Allow the rows of `sets`, out of the corpus's number of `rows`."""
        self.allowed, self.budget = torch.zeros(rows, dtype=torch.bool), budget
        self.allowed[torch.from_numpy(np.concatenate(sets))] = True

    def check(self, rows: Tensor) -> None:
        """Check that all rows may be read.

        Raises:
            ValueError: some may not.
        """
        outside = rows[~self.allowed[rows]]
        if len(outside):
            some = ", ".join(map(str, outside[:5].tolist()))
            raise ValueError(
                f"a method must read D_f, D_r and D_v only: got {len(outside)} other utterances (rows {some} of the "
                "corpus); test and holdout data are for evaluation"
            )

    def guarded(self, fetch: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, Tensor]]:
        """Return `fetch` for allowed rows only."""

        def within(rows: Tensor, *seed: int) -> tuple[Tensor, Tensor]:
            self.check(rows)
            with self.budget.loading():
                return fetch(rows, *seed)

        return within

    def guarded_teacher(self, teacher: Callable[[Batch], Tensor]) -> Callable[[Batch], Tensor]:
        """Return `teacher` for allowed rows only."""

        def within(batch: Batch) -> Tensor:
            self.check(batch.utterances)
            return teacher(batch)

        return within
