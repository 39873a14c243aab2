"""A small sweep for tests of plans."""

from __future__ import annotations

from orchestrator.plan.grid import build_grid
from orchestrator.plan.spec import TrialSpec
from orchestrator.plan.sweep_schema import Sweep


def sweep(**changes) -> Sweep:
    """Return a sweep of 20 trials, with some keys changed."""
    values = {
        "name": "t",
        "tasks": [{"name": "espeak_keywords", "clips": 240}],
        "backbones": ["logmel_cnn"],
        "unlearning": [{"kind": "sample", "forget_ratio": [0.01, 0.05]}, {"kind": "class"}],
        "methods": ["original", "retrain", "scrub"],
        "seeds": [0, 1],
    }
    return Sweep.model_validate({**values, **changes})


def ids(made: Sweep) -> list[str]:
    """Return the ids of a sweep's trials."""
    return [spec.trial_id for spec in build_grid(made).trials]


def unlearning_specs(*methods) -> list[TrialSpec]:
    """Return the trials of methods that forget one class."""
    grid = build_grid(sweep(methods=["retrain", *methods], seeds=[0], unlearning=[{"kind": "class"}]))
    return [spec for spec in grid.trials if spec.stage == "unlearn"]


def sequence(*requests, **changes) -> Sweep:
    """Return the sweep with a sequence of requests."""
    return sweep(unlearning=[{"kind": "sequence", "requests": list(requests)}], **changes)
