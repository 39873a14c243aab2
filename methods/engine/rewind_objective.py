"""How far a model is from what unlearning aims at, without a retrained model: the objective `rewind`.

Source: Kurmanji et al., NeurIPS 2023 (§3.4, after which SCRUB+R rewinds): D_f should be predicted as well as unseen
speech like it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool

from methods.engine.batches import UtteranceSet


class Request(Protocol):
    """What the aim depends on: an `UnlearningProblem`."""

    forget: UtteranceSet
    validation: UtteranceSet
    num_classes: int
    forgotten_classes: tuple[int, ...]


@dataclass(frozen=True)
class Aim:
    """The accuracies that an unlearned model should have, 0-1."""

    forget: float
    validation: float
    by_class: bool = True  # False: D_v has no class of D_f, so D_f's aim is the accuracy on all of D_v

    def distance(self, forget: float, validation: float) -> float:
        """Return the mean of |acc_f − its aim| and of what acc_v lacks; smaller is better."""
        return (abs(forget - self.forget) + max(0.0, self.validation - validation)) / 2


def rewind_aim(correct: Bool[torch.Tensor, " v"], problem: Request, *, mislabeled: bool) -> Aim:
    """Return the aim, from where the original is right on D_v, in its order.

    acc_f should be the original's accuracy on D_v with D_f's mix of classes, and 0 for a forgotten class that D_f has
    (earlier requests may have forgotten others). If D_f is `mislabeled`, it should be the expected accuracy on D_v
    under labels drawn uniformly from the wrong ones. Without D_f's classes in D_v: the accuracy on D_v.
    """
    labels, right = problem.validation.labels, correct.double()
    accuracy = float(right.mean())
    gone = torch.isin(problem.forget.labels, torch.tensor(problem.forgotten_classes, dtype=torch.long))
    if len(gone) and bool(gone.all()):
        return Aim(0.0, accuracy)
    if mislabeled:
        return Aim((1 - accuracy) / (problem.num_classes - 1), accuracy)
    mix = torch.bincount(problem.forget.labels[~gone], minlength=problem.num_classes).double()
    there = torch.bincount(labels, minlength=problem.num_classes).double()
    weights = (mix / there.clamp(min=1))[labels]
    if not weights.any():
        return Aim(accuracy, accuracy, by_class=False)
    remaining = 1 - float(gone.double().mean())
    return Aim(remaining * float((weights * right).sum() / weights.sum()), accuracy)
