"""The results of a trial's steps, each with the columns that it adds to the row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from methods.base import Method, UnlearningProblem
from methods.engine.budget import BudgetMeter
from methods.engine.loop import LoopSettings
from orchestrator.plan.spec import TrialSpec
from orchestrator.run.assignment import Assignment
from orchestrator.run.evaluation.curves import Curve
from orchestrator.run.guards.peak_memory import PeakMemory
from orchestrator.run.guards.watchdog import Watchdog
from orchestrator.run.setup.context import WorkerContext
from orchestrator.run.setup.feature_cache import FeatureReader
from orchestrator.run.setup.problem import TrialSplit
from orchestrator.tasks.corpus import Corpus


@dataclass(frozen=True)
class Prepared:
    """A trial that is ready to run."""

    assignment: Assignment
    context: WorkerContext
    watchdog: Watchdog
    corpus: Corpus
    split: TrialSplit
    features: FeatureReader
    problem: UnlearningProblem
    method: Method
    loop: LoopSettings
    memory: PeakMemory
    budget_source: str
    seconds: float
    curve: Curve | None = None

    @property
    def spec(self) -> TrialSpec:
        """The trial's recipe."""
        return self.assignment.spec

    @property
    def budget(self) -> BudgetMeter:
        """The trial's budget, whose clock leaves out seconds in which the process was stopped."""
        return self.problem.budget

    def columns(self) -> dict[str, Any]:
        """Return what this step adds to the row."""
        return {"budget_source": self.budget_source, "setup_seconds": self.seconds}


@dataclass(frozen=True)
class Unlearned:
    """What a training or a method did, up to its end or to what interrupted it."""

    cost: dict[str, Any]  # columns of the budget, the steps and the memory
    unchanged: bool | None = None  # None for a training
    note: str = ""

    def columns(self) -> dict[str, Any]:
        """Return what this step adds to the row."""
        changed = {} if self.unchanged is None else {"unchanged": self.unchanged, "note": self.note}
        return {**self.cost, **changed}


@dataclass(frozen=True)
class Evaluated:
    """Answers on the whole corpus and what was measured on them."""

    answers: Any  # (N, C) float32 logits, or `Transcripts`
    measures: dict[str, Any]
    objective: float | None
    peak_memory_bytes: int
    seconds: float
    seconds_per_utterance: float  # of the answers alone: what a later method is charged when it uses stored logits

    def columns(self) -> dict[str, Any]:
        """Return what this step adds to the row."""
        return {**self.measures, "objective": self.objective, "peak_memory_bytes": self.peak_memory_bytes}


@dataclass(frozen=True)
class Saved:
    """What was written next to the row, and what that cost."""

    probe_seconds: float
    preparation_seconds: float | None  # of what training keeps for methods; None where no model is kept

    def columns(self) -> dict[str, Any]:
        """Return what this step adds to the row."""
        return {"preparation_seconds": self.preparation_seconds}
