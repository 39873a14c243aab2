"""What a launch reports while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from orchestrator.plan.cost import Kind
from orchestrator.plan.grid import Refusal
from orchestrator.plan.spec import TrialSpec
from orchestrator.run.assignment import IntermediateResult


@dataclass(frozen=True)
class Launch:
    """What a launch has to do."""

    pending: Sequence[TrialSpec]
    num_found: int  # trials with a row from before
    refused: Sequence[Refusal]
    medians: Mapping[Kind, float]  # seconds of finished trials in the results folder
    results: str  # location of the results folder

    @property
    def num_trials(self) -> int:
        """Pending trials and those with a row."""
        return len(self.pending) + self.num_found


@dataclass(frozen=True)
class LaunchOutcome:
    """How a launch ended."""

    counts: Mapping[str, int]  # trials by status, those of earlier launches included
    num_left: int  # trials that neither ended nor are blocked
    stopped: str = ""  # why the launch stopped early
    blocked: Sequence[str] = ()  # one line each
    num_refused: int = 0  # planned trials that cannot run

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to run."""
        return not self.stopped and not self.num_left

    @property
    def exit_code(self) -> int:
        """0 when all is well; 1 when trials failed, are blocked or were refused; 3 when the launch stopped early; 130
        after an interrupt."""
        if not self.is_complete:
            return 3 if self.stopped else 130
        return int(bool(self.counts.get("failed") or self.counts.get("blocked") or self.num_refused))


class LaunchObserver:
    """Receives the events of a launch in the driver's process, and ignores them: override what you need.

    Nothing that an observer does changes a trial. Its methods should return at once.
    """

    def preparing(self, what: str) -> None:
        """Something that trials need is being made: a corpus, features, the start of Ray."""

    def prepared(self, what: str) -> None:
        """It is made."""

    def planned(self, launch: Launch) -> None:
        """The launch knows what it has to do."""

    def ready(self, slots: int) -> None:
        """The executor has started and runs this many trials at once."""

    def started(self, spec: TrialSpec) -> None:
        """A trial was handed to the executor."""

    def progressed(self, spec: TrialSpec, result: IntermediateResult) -> None:
        """A running trial says what it does: at most once per epoch, and at most every few seconds under Ray."""

    def returned(self, spec: TrialSpec) -> None:
        """A trial left no row and waits again: what it needed is lost, or its disk is full."""

    def finished(self, spec: TrialSpec, row: Mapping[str, Any]) -> None:
        """A trial ended with a row."""

    def blocked(self, spec: TrialSpec) -> None:
        """A trial cannot run: what it needs did not finish well."""

    def ended(self, outcome: LaunchOutcome | None) -> None:
        """The launch ended; None after an error that the caller reports."""


SILENT = LaunchObserver()


@contextmanager
def ended_on_error(observer: LaunchObserver) -> Iterator[None]:
    """Tell the observer that the launch ended when an error or an interrupt leaves the block."""
    try:
        yield
    except BaseException:
        observer.ended(None)
        raise


@contextmanager
def preparation(observer: LaunchObserver, what: str) -> Iterator[None]:
    """Tell the observer what the block makes, and that it is made."""
    observer.preparing(what)
    yield
    observer.prepared(what)
