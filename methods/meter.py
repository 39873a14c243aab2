"""What a trial is charged: seconds and samples of every forward and backward pass that its algorithm needs.

One example trained on (forward and backward) is one sample; a forward alone is a third of one, the usual ratio of their
arithmetic. Evaluation, loading and I/O are measured apart and never charged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Literal

FORWARD_SHARE = 1 / 3  # of a sample: a forward without its backward


class BudgetSpent(Exception):
    """The budget ran out inside a walk; the loop ends the trial with `stop_reason = budget`."""


@dataclass
class Meter:
    """Charges work against an optional limit in seconds or samples.

    `synchronize` waits for the device, so that seconds are those of finished work.
    """

    limit: float | None = None
    unit: Literal["seconds", "samples"] = "samples"
    synchronize: Callable[[], None] = lambda: None
    seconds: float = 0.0  # charged
    samples: float = 0.0  # charged
    evaluation_seconds: float = 0.0
    preparation_seconds: float = 0.0  # a training spent them on what it keeps for later requests
    largest_batch: int = 0  # most examples that one block was charged for: what was under way when memory ran out
    clock: Callable[[], float] = time.perf_counter  # in seconds; may leave out what is nobody's time
    beat: Callable[[], None] = lambda: None  # told at each block: whoever watches for hangs listens
    _inside: bool = field(default=False, repr=False)
    _apart_inside: float = field(default=0.0, repr=False)

    @contextmanager
    def charging(self, examples: int, *, backward: bool = True) -> Iterator[None]:
        """Charge the block's time, less what is timed apart, and `examples` samples (a third without backward)."""
        if (
            self._inside
        ):  # a teacher's forward inside a step: its time is already running, its samples are not counted yet
            self.samples += examples * (1.0 if backward else FORWARD_SHARE)
            yield
            return
        self._inside, self._apart_inside = True, 0.0
        self.largest_batch = max(self.largest_batch, examples)
        self.beat()
        self.synchronize()
        started = self.clock()
        try:
            yield
        finally:
            self.synchronize()
            self.seconds += self.clock() - started - self._apart_inside
            self.samples += examples * (1.0 if backward else FORWARD_SHARE)
            self._inside = False

    def charge(self, *, seconds: float, samples: float) -> None:
        """Charge work that was done elsewhere at its measured cost (a cached teacher's outputs)."""
        self.seconds += seconds
        self.samples += samples

    def evaluating(self) -> AbstractContextManager[None]:
        """Time the block as evaluation."""
        return self._apart("evaluation_seconds")

    def preparing(self) -> AbstractContextManager[None]:
        """Time the block as preparation for later requests."""
        return self._apart("preparation_seconds")

    @contextmanager
    def _apart(self, account: str) -> Iterator[None]:
        self.synchronize()
        started = self.clock()
        try:
            yield
        finally:
            self.synchronize()
            spent = self.clock() - started
            setattr(self, account, getattr(self, account) + spent)
            self._apart_inside += spent

    @property
    def charged(self) -> float:
        """What counts against the limit, in its unit."""
        return self.seconds if self.unit == "seconds" else self.samples

    @property
    def used(self) -> float:
        """Share of the budget that is used; 0 without a limit, above 1 after an overshoot."""
        return 0.0 if self.limit is None else self.charged / self.limit if self.limit > 0 else 1.0

    @property
    def spent(self) -> bool:
        """Whether the budget is used up."""
        return self.limit is not None and self.charged >= self.limit

    def check(self) -> None:
        """Raise `BudgetSpent` when the budget is used up."""
        if self.spent:
            raise BudgetSpent
