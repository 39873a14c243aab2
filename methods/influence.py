"""IU: take one Newton step from f toward the model without D_f (influence functions, WoodFisher); no training.

Source: Koh and Liang, ICML 2017; Jia et al., NeurIPS 2023 (IU): θ ← θ + α·(F + λI)⁻¹ v with
v = Σ_f ∇l / n − (n_f / (n·n_r))·Σ_r ∇l and the empirical Fisher F = (1/N) Σ ∇l ∇lᵀ of N utterances of D_r in place
of the Hessian (WoodFisher: Singh and Alistarh, NeurIPS 2020, whose recursion starts at λI, λ = 1).
Reference code: OPTML-Group/Unlearn-Sparse, `Wfisher`.
Differs: that code carries one vector through the recursion for all F⁻¹∇l_i, which gives F⁻¹v only if all gradients
are equal. Here the equation is solved by conjugate gradients: the exact product, in memory of a few gradients.
At most 8 iterations over N = 64 cost half the gradients of the code's N = 1000; the N are drawn, not the first ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from methods.base import Batch, Classifier, Method, Pass, SearchSpace, UnlearningProblem, UtteranceSet
from methods.engine.gradients import summed_gradient, trainable
from methods.engine.losses import cross_entropy
from methods.engine.per_utterance import CHUNK, Gradients, PerUtterance

TOLERANCE = 1e-4  # of the residual's norm, relative


def removal_gradient(
    forget: Float[Tensor, " weights"], retain: Float[Tensor, " weights"], n_f: int, n_r: int
) -> Float[Tensor, " weights"]:
    """Return v = Σ_f ∇l / n − (n_f / (n·n_r))·Σ_r ∇l: the gradient of the mean loss over D minus that over D_r."""
    n = n_f + n_r
    return forget / n - retain * n_f / (n * n_r)


def conjugate_gradients(
    product: Callable[[Tensor], Tensor], right: Float[Tensor, " weights"], iterations: int
) -> Float[Tensor, " weights"]:
    """Solve A x = right for a symmetric positive definite A, given as a product; stop once it has converged."""
    solution, residual, direction = torch.zeros_like(right), right.clone(), right.clone()
    square = residual @ residual
    for _ in range(iterations):
        if square <= TOLERANCE**2 * (right @ right):
            break
        image = product(direction)
        step = square / (direction @ image)
        solution += step * direction
        residual -= step * image
        before, square = square, residual @ residual
        direction = residual + (square / before) * direction
    return solution


def fisher_product(
    problem: UnlearningProblem, utterances: UtteranceSet, vector: Float[Tensor, " weights"]
) -> Float[Tensor, " weights"]:
    """Return F v = (1/N) Σ ∇l (∇lᵀ v): one forward and backward per utterance."""
    weights = trainable(problem.model)
    total = {name: torch.zeros_like(p) for name, p in weights.items()}
    pieces = torch.split(vector, [p.numel() for p in weights.values()])
    along = {name: piece.view_as(p) for (name, p), piece in zip(weights.items(), pieces, strict=True)}
    problem.model.eval()
    gradients = PerUtterance(problem.model, weights, problem.budget.uncounted)
    for batch in problem.iterate(utterances, CHUNK, backward=True, summed=True):
        gradients.add_products(total, along, batch, losses)
    return _flat(total) / len(utterances)


def losses(model: Classifier, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy (B, 1) of each utterance and its weight 1."""
    found = cross_entropy(model, batch)[:, None]
    return found, torch.ones_like(found)


def _flat(gradients: Gradients) -> Tensor:
    return torch.cat([g.flatten() for g in gradients.values()])


@dataclass(frozen=True, kw_only=True)
class Influence(Method):
    """One epoch over D, several over the Fisher's sample, then one edit; if the budget ends before, nothing changes."""

    label: ClassVar[str] = "IU"
    version: ClassVar[int] = 2
    needs_classes: ClassVar[str] = ""
    edits_weights: ClassVar[bool] = True
    search_space: ClassVar[SearchSpace] = {
        "step_size": (0.1, 100.0),
        "damping": (1e-3, 1.0),
        "fisher_samples": [8, 16, 64],
        "iterations": [1, 2, 8],
    }

    step_size: float = 1.0  # α: 1 is the Newton step; the field searches 0.2 to 20
    damping: float = 1.0  # λ of F + λI; smaller steps further where D_r's gradients are small
    fisher_samples: int = 64  # N, of D_r
    iterations: int = 8  # of the solver, at most; one that ends before it is there has taken a shorter step
    batch_size: int = 32  # of the epoch over D; changes no result

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("damping", "fisher_samples", "iterations"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Edit the weights; yield no pass."""
        target = removal_gradient(
            _flat(summed_gradient(problem, problem.forget, self.batch_size)),
            _flat(summed_gradient(problem, problem.retain, self.batch_size)),
            len(problem.forget),
            len(problem.retain),
        )
        sample = problem.retain.sample(self.fisher_samples, problem.generator)

        def damped(vector: Tensor) -> Tensor:
            return fisher_product(problem, sample, vector) + self.damping * vector

        step = self.step_size * conjugate_gradients(damped, target, self.iterations)
        weights = trainable(problem.model).values()
        with torch.no_grad():
            for weight, part in zip(weights, torch.split(step, [w.numel() for w in weights]), strict=True):
                weight.add_(part.view_as(weight))
        return iter(())
