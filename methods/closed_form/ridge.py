"""Ridge regression on one-hot labels from sums alone: utterances subtracted from the sums leave no trace.

Source: Hoerl and Kennard, Technometrics 1970 (ridge regression); Cao and Yang, IEEE S&P 2015 (unlearning in summation
form: statistics that are sums over D are updated for D_r by subtracting those of D_f). W features, C classes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from methods.base import Batch, UnlearningProblem, UtteranceSet
from methods.engine.losses import label_loss

BATCH = 32
RIDGES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)  # λ, of standardized features
SHARPNESSES = tuple(2 ** (power / 2) for power in range(13))  # 1/T, by which the regression's outputs become logits
RIDGE, SHARPNESS = 1e-2, 8.0  # where there is no D_v to choose them by
ABSENT = -100.0  # logit of a class without utterances; those of the others add up to 1/T, so that one is above 0
FLOOR = 1e-6  # of a feature's variance, as a share of the mean variance: dead features are not divided by nothing

Head = tuple[Tensor, Tensor]
"""Weights (width, C) and bias (C,)."""


@dataclass(frozen=True)
class RidgeSums:
    """Everything that the solution depends on, as sums over utterances, in float64."""

    counts: Float[Tensor, " classes"]  # utterances
    by_class: Float[Tensor, "width classes"]  # Σ x over the utterances of each class
    gram: Float[Tensor, "width width"]  # Σ x xᵀ

    @classmethod
    def over(cls, problem: UnlearningProblem, utterances: UtteranceSet) -> RidgeSums:
        """Sum over a set, in one charged epoch without a backward; the model is left in eval mode.

        Raises:
            BudgetSpent: when the budget is spent.
        """
        total: RidgeSums | None = None
        for batch in problem.iterate(as_evaluated(problem, utterances), BATCH, backward=False):
            x = embedded(problem, batch)
            y = functional.one_hot(batch.labels.to(x.device), problem.num_classes).to(x.dtype)
            part = cls(y.sum(dim=0), x.T @ y, x.T @ x)
            total = part if total is None else total.plus(part)
        if total is None:
            raise ValueError("a closed-form head needs at least one utterance; got none")
        return total

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> RidgeSums:
        """Make sums from what `tensors` returned."""
        return cls(**{f.name: tensors[f.name] for f in fields(cls)})

    def tensors(self) -> dict[str, Tensor]:
        """Return the sums by name, to be stored."""
        return {f.name: getattr(self, f.name).cpu() for f in fields(self)}

    def on(self, device: torch.device) -> RidgeSums:
        """Return the same sums on a device."""
        return RidgeSums(*(getattr(self, f.name).to(device) for f in fields(self)))

    def plus(self, other: RidgeSums, sign: float = 1.0) -> RidgeSums:
        """Return the sums over both sets; with `sign` −1, over this set without the other, which is part of it."""
        pairs = [(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        return RidgeSums(*(mine + sign * its.to(mine.device) for mine, its in pairs))


@dataclass(frozen=True)
class RidgeFit:
    """The normal equations on standardized features; mean and variance come from the sums too."""

    sums: RidgeSums
    mean: Float[Tensor, " width"]
    deviation: Float[Tensor, " width"]
    correlation: Float[Tensor, "width width"]
    labeled: Float[Tensor, "width classes"]  # covariances of the standardized features with the labels

    @classmethod
    def of(cls, sums: RidgeSums) -> RidgeFit:
        """Standardize sums over at least one utterance."""
        n = sums.counts.sum()
        mean = sums.by_class.sum(dim=1) / n
        covariance = sums.gram / n - torch.outer(mean, mean)
        variance = covariance.diagonal().clamp(min=0)
        deviation = torch.sqrt(variance + FLOOR * variance.mean() + torch.finfo(variance.dtype).tiny)
        labeled = (sums.by_class / n - torch.outer(mean, sums.counts / n)) / deviation[:, None]
        return cls(sums, mean, deviation, covariance / torch.outer(deviation, deviation), labeled)

    def head(self, ridge: float) -> Head:
        """Return W (width, C) and b (C,) of min Σ ‖Wᵀx + b − y‖² / n + λ‖s ⊙ W‖², without penalty on b.

        The outputs for any x add up to 1, as the one-hot labels do.
        """
        penalized = self.correlation.clone()
        penalized.diagonal().add_(ridge)
        weight = torch.cholesky_solve(self.labeled, torch.linalg.cholesky(penalized)) / self.deviation[:, None]
        return weight, self.sums.counts / self.sums.counts.sum() - weight.T @ self.mean


def set_head(problem: UnlearningProblem, sums: RidgeSums, *, charged: bool) -> None:
    """Solve for the model's head in place; choose λ by accuracy on D_v (ties by loss), then 1/T by loss on D_v.

    The choice is repeated for every set of sums, because a choice made with D_f would depend on it. Reading D_v is
    `charged` to a method, and not to a training, as Retrain's choice of epoch is not.

    Raises:
        BudgetSpent: when the budget is already spent.
    """
    problem.budget.check()
    head = problem.model.head
    assert isinstance(head, nn.Linear)
    assert head.bias is not None
    with problem.budget.charging():
        fit = RidgeFit.of(sums.on(head.weight.device))
        there = fit.sums.counts > 0.5
        solved = [fit.head(ridge) for ridge in (RIDGES if len(problem.validation) else (RIDGE,))]
        with contextlib.nullcontext() if charged else problem.budget.evaluating():
            (weight, bias), sharpness = _chosen(problem, solved, ~there)
        with torch.no_grad():
            head.weight.copy_((sharpness * weight * there).T)
            head.bias.copy_(torch.where(there, sharpness * bias, ABSENT))


def _chosen(problem: UnlearningProblem, solved: list[Head], absent: Tensor) -> tuple[Head, float]:
    """Return the solution that is best on D_v and its 1/T; without a D_v, the first and a default."""
    validation = problem.validation
    if not len(validation):
        return solved[0], SHARPNESS
    size = min(BATCH, problem.micro_batch or BATCH)
    x = torch.cat([embedded(problem, batch) for batch in validation.batches(size)])
    labels = validation.labels.to(x.device)

    def judged(head: Head) -> tuple[float, float, float]:
        outputs = x @ head[0] + head[1]
        logits = {by: (by * outputs).masked_fill(absent, ABSENT) for by in SHARPNESSES}
        found = torch.stack([label_loss(z, labels).mean() for z in logits.values()]).tolist()  # one read for all
        losses = dict(zip(logits, found, strict=True))
        sharpness = min(losses, key=lambda by: losses[by])
        correct = (logits[sharpness].argmax(dim=1) == labels).double().mean()
        return -float(correct), losses[sharpness], sharpness

    found = [judged(head) for head in solved]
    best = min(range(len(solved)), key=lambda place: found[place][:2])
    return solved[best], found[best][2]


def as_evaluated(problem: UnlearningProblem, utterances: UtteranceSet) -> UtteranceSet:
    """Return the set as evaluation reads it: crop and padding never change, so that sums can be subtracted."""
    return UtteranceSet(
        utterances.utterances, utterances.labels, utterances.is_forget, problem.validation.fetch, utterances.device
    )


def embedded(problem: UnlearningProblem, batch: Batch) -> Float[Tensor, "batch width"]:
    """Return what the head reads, in eval mode and float64, under bf16 too: exact solutions amplify rounding.

    Batches are padded to one size. Kernels for other sizes round differently, and with a small λ the solution would
    show that an utterance was added and subtracted in different batches.
    """
    problem.model.eval()
    missing = max(0, min(BATCH, problem.micro_batch or BATCH) - len(batch))
    filled = [torch.cat([t, t[:1].expand(missing, *t.shape[1:])]) for t in (batch.features, batch.lengths)]
    problem.budget.count(len(batch))
    with torch.no_grad(), torch.autocast(problem.device.type, enabled=False), problem.budget.uncounted():
        return problem.model.embed(*filled)[: len(batch)].double()
