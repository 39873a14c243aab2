"""The budget of a trial: seconds and samples charged for every forward and backward pass of its algorithm.

One example trained on (forward and backward) is one sample; a forward alone is a third of one, the usual ratio of their
arithmetic. `methods.engine.charged_passes` counts them, wherever they are run. Evaluation by the harness, loading and
I/O are measured separately and never charged.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

FORWARD_SHARE = 1 / 3  # of a sample: a forward without its backward

Account = Literal["seconds", "evaluation_seconds", "preparation_seconds", "loading_seconds"]


class BudgetSpent(Exception):
    """The budget ran out within an epoch; the loop ends the trial with `stop_reason = budget`."""


@dataclass(eq=False)
class BudgetMeter:
    """Charges work against an optional limit in seconds or samples.

    `synchronize` waits for the device, so that seconds are those of finished work. Time runs on one account at a time:
    on the charged one inside `charging`, and on another in blocks within it that are timed separately.
    """

    limit: float | None = None
    unit: Literal["seconds", "samples"] = "samples"
    synchronize: Callable[[], None] = lambda: None
    seconds: float = 0.0  # charged
    thirds: float = 0.0  # charged: thirds of a sample, which are whole numbers but where weights are frozen
    evaluation_seconds: float = 0.0
    preparation_seconds: float = 0.0  # a training spent them on what it keeps for later requests
    loading_seconds: float = 0.0  # of features and models, inside a method's own code
    largest_batch: int = 0  # most examples charged in one block, in case memory runs out
    clock: Callable[[], float] = time.perf_counter  # in seconds; may exclude pauses of the process
    beat: Callable[[], None] = lambda: None  # called at each block, as a sign of life for the watchdog
    counts: bool = True  # whether forwards and backwards are charged now
    hooks: Any = field(default_factory=weakref.WeakKeyDictionary, repr=False)  # models, and the hooks on them
    _account: Account | None = field(default=None, repr=False)
    _since: float = field(default=0.0, repr=False)
    _thread: int = field(default=0, repr=False)  # that runs the block

    @contextmanager
    def charging(self, examples: int = 0) -> Iterator[None]:
        """Charge the block's time, minus what is timed separately; `examples` is the size of its batch, if any.

        Samples are charged as models run. Inside another block it has no effect.
        """
        self.largest_batch = max(self.largest_batch, examples)
        self.beat()
        if self._account is not None:
            yield
            return
        with self._on("seconds"):
            yield

    def charge(self, *, seconds: float = 0.0, samples: float = 0.0, forwards: float = 0.0) -> None:
        """Charge work that was done elsewhere at its measured cost, such as a cached teacher's forwards."""
        self.seconds += seconds
        self.thirds += 3 * samples + forwards

    def count(self, thirds: float) -> None:
        """Charge thirds of a sample, unless nothing is charged now."""
        if self.counts:
            self.thirds += thirds

    @property
    def samples(self) -> float:
        """The samples charged so far."""
        return self.thirds / 3

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Time the block as evaluation by the harness, and charge nothing."""
        with self.uncounted(), self._on("evaluation_seconds"):
            yield

    def preparing(self) -> AbstractContextManager[None]:
        """Time the block as preparation for later requests."""
        return self._on("preparation_seconds")

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Do not charge the block's time: features are read, or a model is built.

        It has no effect in another thread than the charged one, which works meanwhile.
        """
        if self._account != "seconds" or self._thread != threading.get_ident():
            yield
            return
        with self._on("loading_seconds"):
            yield

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Charge the block's time but none of its samples: work that is not part of the algorithm."""
        before, self.counts = self.counts, False
        try:
            yield
        finally:
            self.counts = before

    @contextmanager
    def _on(self, account: Account) -> Iterator[None]:
        before = self._switch(account)
        try:
            yield
        finally:
            self._switch(before)

    def _switch(self, account: Account | None) -> Account | None:
        """Switch to another account; return the previous one."""
        self.synchronize()
        now, before = self.clock(), self._account
        if before is not None:
            setattr(self, before, getattr(self, before) + now - self._since)
        self._account, self._since, self._thread = account, now, threading.get_ident()
        return before

    @property
    def charged(self) -> float:
        """What counts against the limit, in its unit, including the current block."""
        if self.unit == "samples":
            return self.samples
        return self.seconds + (self.clock() - self._since if self._account == "seconds" else 0.0)

    @property
    def used(self) -> float:
        """The share of the budget that is used: 0 without a limit, above 1 after an overshoot."""
        return 0.0 if self.limit is None else self.charged / self.limit if self.limit > 0 else 1.0

    @property
    def spent(self) -> bool:
        """Whether the budget is spent."""
        return self.limit is not None and self.charged >= self.limit

    def check(self) -> None:
        """Raise `BudgetSpent` when the budget is spent."""
        if self.spent:
            raise BudgetSpent
