"""What an executor gives to a trial, and what the trial reports while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.plan.spec import TrialSpec

TRANSIENT = (OSError, ConnectionError)
"""Errors of the moment, after which the executor runs the trial again. All others are results of the trial."""


@dataclass(frozen=True)
class Assignment:
    """A trial with the values that a search chose: training settings, or the method's."""

    spec: TrialSpec
    training: Mapping[str, Any]  # all fields of `methods.base.Training`
    method: Mapping[str, Any]
    objective_rule: str = ""  # of a search's trial


@dataclass(frozen=True)
class IntermediateResult:
    """What a running trial says of itself."""

    budget_used: float = 0.0  # 0-1
    objective: float | None = None  # of a search's trial at this point; smaller is better
    phase: str = ""  # preparing, training, unlearning, evaluating, attack tests
    preparing: str = ""  # what it makes for all trials, such as features
    epoch: int | None = None  # that ended, from 1, of the pass that runs; None outside of epochs
    epochs: int | None = None  # of the pass
    accuracy: float | None = None  # on D_v, where the trial measured it anyway
    loss: float | None = None  # mean over the epoch
