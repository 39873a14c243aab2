"""Fisher forgetting: add more noise to weights that matter less to D_r; no training.

Source: Golatkar et al., CVPR 2020, arXiv 1911.04933: θ ← θ + ε, ε normal, its variance falling with the Fisher
information F of D_r; reference code AdityaGolatkar/SelectiveForgetting: variance α·min(1/F, 1000).
Differs: this is the code's variance; the paper's is α·F^(−1/2). One rule for all layers: the code averages the
variance over a neuron's inputs and treats the head apart. `fisher: model` is the paper's expectation over labels, at C
backward passes an utterance; `empirical` takes the given labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from methods.base import Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.answers import CLASSES
from methods.engine.gradients import empirical_fisher, model_fisher, trainable


def noise_variance(
    fisher: Float[Tensor, "*shape"], strength: float, max_inverse: float = 1e3
) -> Float[Tensor, "*shape"]:
    """Return α·min(1/F, `max_inverse`)."""
    return strength * (1 / (fisher + 1e-8)).clamp(max=max_inverse)


@dataclass(frozen=True, kw_only=True)
class FisherForgetting(Method):
    """One epoch over D_r, then one edit; D_f is not used. If the budget ends before that, nothing changes."""

    label: ClassVar[str] = "Fisher"
    version: ClassVar[int] = 2
    needs_classes: ClassVar[str] = ""
    edits_weights: ClassVar[bool] = True
    search_space: ClassVar[SearchSpace] = {"strength": (1e-9, 1e-5)}

    strength: float = 1e-8  # α: variance of the noise on a weight of Fisher information 1; the field takes 1e-9 to 1e-6
    max_inverse: float = 1e3  # of 1/F, so that a weight which D_r does not need stays finite
    fisher: Literal["empirical", "model"] = "empirical"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("strength", "max_inverse"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.fisher not in ("empirical", "model"):
            raise ValueError(f"fisher must be empirical or model, got {self.fisher!r}")

    def reason_target_unsupported(self, target: str) -> str:
        """Return why the Fisher information of this target cannot be computed, or an empty string."""
        reason = "fisher: model sums over all classes; set fisher: empirical" if self.fisher == "model" else ""
        return super().reason_target_unsupported(target) or ("" if target == CLASSES else reason)

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Edit the weights; yield no pass."""
        information = (model_fisher if self.fisher == "model" else empirical_fisher)(problem, problem.retain)
        with torch.no_grad():
            for name, weight in trainable(problem.model).items():
                noise = torch.randn(weight.shape, generator=problem.generator, dtype=weight.dtype).to(weight.device)
                weight.add_(noise_variance(information[name], self.strength, self.max_inverse).sqrt() * noise)
        return iter(())
