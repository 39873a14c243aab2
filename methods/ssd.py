"""SSD: dampen the weights that matter much more to D_f than to D; no training.

Source: Foster et al., AAAI 2024, arXiv 2308.07707: where I_f > α·I_D, θ ← min(λ·I_D/I_f, 1)·θ, with I the mean squared
gradient of the loss on D_f and on D; reference code if-loops/selective-synaptic-dampening.
Differs: squares of each utterance's gradient, not of a batch's mean, which depends on the batch size ("SSD-Det",
arXiv 2510.26714, App. B); one epoch over D_f serves both, since I_D is the mean of I_f and I_r by their sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from methods.base import Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.gradients import empirical_fisher, trainable


def dampening_factor(
    forget: Float[Tensor, "*shape"], everything: Float[Tensor, "*shape"], selection: float, dampening: float
) -> Float[Tensor, "*shape"]:
    """Return β = min(λ·I_D/I_f, 1) where I_f > α·I_D, else 1."""
    selected = forget > selection * everything
    ratio = dampening * everything / torch.where(selected, forget, torch.ones_like(forget))
    return torch.where(selected, ratio.clamp(max=1.0), torch.ones_like(forget))


@dataclass(frozen=True, kw_only=True)
class SelectiveSynapticDampening(Method):
    """One epoch over D for the importances, then one edit; if the budget ends before that, nothing changes."""

    label: ClassVar[str] = "SSD"
    version: ClassVar[int] = 2
    needs_classes: ClassVar[str] = ""
    edits_weights: ClassVar[bool] = True
    search_space: ClassVar[SearchSpace] = {"selection": (1.0, 100.0), "dampening": (0.1, 1.0)}

    selection: float = 10.0  # α: how many times more important to D_f than to D a weight is to be dampened
    dampening: float = 1.0  # λ: smaller shrinks more

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("selection", "dampening"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Edit the weights; yield no pass."""
        forget, retain = empirical_fisher(problem, problem.forget), empirical_fisher(problem, problem.retain)
        share = len(problem.forget) / (len(problem.forget) + len(problem.retain))
        with torch.no_grad():
            for name, weight in trainable(problem.model).items():
                everything = share * forget[name] + (1 - share) * retain[name]
                weight.mul_(dampening_factor(forget[name], everything, self.selection, self.dampening))
        return iter(())
