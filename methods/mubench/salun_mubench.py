"""SalUn as MU-Bench's code runs it: the first batch is missing from the saliency mask, and labels are shifted.

Source: CLU-UML/MU-Bench, mubench/trainer/salun.py: the sum of gradients starts as 0 when a weight is first met, so
D_f's first batch is dropped; half of the weights, by rank; the mask applies to gradients only.
Differs: equal magnitudes are ranked by place. They all are where D_f is a single batch; that code stops with an error
there. See also methods/mubench/quirks.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from methods.base import Classifier, Method, Pass, UnlearningProblem
from methods.engine.gradients import batch_gradient, trainable
from methods.mubench.quirks import Corruption
from methods.mubench.random_label_mubench import RandomLabelMubench


def all_but_the_first(problem: UnlearningProblem, batch_size: int) -> dict[str, Tensor]:
    """Return Σ over batches of D_f, except the first, of ∇ mean CE in eval mode; every batch is charged."""
    weights = trainable(problem.model)
    total = {name: torch.zeros_like(p) for name, p in weights.items()}
    problem.model.eval()
    for number, batch in enumerate(problem.iterate(problem.forget, batch_size, backward=True)):
        gradients = batch_gradient(problem, batch, weights)
        if number == 0:
            continue
        for name, gradient in gradients.items():
            total[name] += gradient
    return total


def ranked_mask(gradients: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return masks of exactly ⌊share · n⌋ of all n entries, of largest magnitude; ties go to the earlier entry."""
    magnitudes = torch.cat([g.abs().flatten() for g in gradients.values()])
    chosen = torch.zeros_like(magnitudes, dtype=torch.bool)
    chosen[magnitudes.argsort(descending=True, stable=True)[: int(share * len(magnitudes))]] = True
    parts = torch.split(chosen, [g.numel() for g in gradients.values()])
    return {name: part.view_as(g) for (name, g), part in zip(gradients.items(), parts, strict=True)}


@dataclass(frozen=True, kw_only=True)
class SalUnMubench(Method):
    """RandLabel (MU-Bench code) under a mask on its gradients."""

    label: ClassVar[str] = "SalUn (MU-Bench code)"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = "the code that it follows maps each class to one wrong class"

    learning_rate: float = 5e-5  # highest of its schedule
    epochs: int = 5  # epochs over D_f ∪ D_r
    batch_size: int = 32
    corruption: Corruption = "shift"

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield RandLabel's pass with the mask before each step."""
        masks = ranked_mask(all_but_the_first(problem, self.batch_size), share=0.5)

        def mask_gradients(model: Classifier) -> None:
            for name, p in model.named_parameters():
                if p.grad is not None:
                    p.grad *= masks[name]

        relabel = RandomLabelMubench(
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            batch_size=self.batch_size,
            corruption=self.corruption,
        )
        for current in relabel.passes(problem):
            yield replace(current, before_step=mask_gradients)
