"""The state of a training at the end of an epoch: collected to be stored, and restored into another process."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from methods.base import UnlearningProblem
from methods.engine.records import Outcome


def epoch_state(
    problem: UnlearningProblem,
    optimizer: torch.optim.Optimizer,
    outcome: Outcome,
    epoch: int,
    best: float,
    best_weights: dict[str, Tensor] | None,
) -> dict[str, Any]:
    """Collect everything that the epochs from `epoch` on depend on; tensors are not copied."""
    budget = problem.budget
    return {
        "epoch": epoch,
        "best": best,
        "best_weights": best_weights or {},
        "steps": outcome.steps,
        "weights": problem.model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": problem.generator.get_state(),
        "draws": _random_states(_device(problem)),
        "meter": [budget.seconds, budget.thirds, budget.evaluation_seconds, budget.preparation_seconds],
        "stored": problem.artifacts_to_store or {},
    }


def restore_epoch_state(
    state: dict[str, Any], problem: UnlearningProblem, optimizer: torch.optim.Optimizer, outcome: Outcome
) -> tuple[int, float, dict[str, Tensor] | None]:
    """Restore a state in place; return the epoch to continue at, the best score so far and the weights that had it."""
    budget = problem.budget
    problem.model.load_state_dict(state["weights"])
    optimizer.load_state_dict(state["optimizer"])
    problem.generator.set_state(state["generator"])
    _set_random_states(state["draws"], _device(problem))
    budget.seconds, budget.thirds, budget.evaluation_seconds, budget.preparation_seconds = state["meter"]
    if problem.artifacts_to_store is not None:
        problem.artifacts_to_store.update({name: value.clone() for name, value in state["stored"].items()})
    outcome.steps = state["steps"]
    return state["epoch"], state["best"], state["best_weights"] or None


def _device(problem: UnlearningProblem) -> torch.device:
    return next(problem.model.parameters()).device


def _random_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of torch's own generators on the host and the device, from which dropout draws."""
    host = {"cpu": torch.get_rng_state()}
    return {**host, "cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else host


def _set_random_states(states: dict[str, Tensor], device: torch.device) -> None:
    """Set torch's own generators; a device of another type than before keeps its state."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
