"""UNSIR: learn noise that the model misclassifies, train on it under D_f's labels, then repair the model on D_r.

Source: Tarun et al., IEEE TNNLS 2023 (arXiv 2111.08947), Eq. 1: N* = argmin_N −CE(f(N), y_f) + ρ‖N‖², found by Adam;
impair: one epoch on N* and a part of D_r; repair: one epoch on that part. Reference code vikram2000b/Fast-Machine-
Unlearning: noise from N(0, 1), ρ = 0.1, 40 steps at 0.1, shown 20 times; rates 0.02 and 0.01.
Differs: for sample unlearning too (as UnSLU-BENCH does), the noise has the labels and lengths of drawn utterances of
D_f and the shape of their features; the two rates keep the paper's ratio at the size that fine-tuned speech encoders
bear; the noise is learned in eval mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from methods.base import Batch, Classifier, Method, Pass, SearchSpace, UnlearningProblem, UtteranceSet
from methods.engine.losses import cross_entropy
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule
from methods.engine.setting_rules import added_later


def noise_loss(model: Classifier, noise: Batch, penalty: float) -> Tensor:
    """Return −CE of the noise under its labels + penalty · ‖N‖², the mean over the batch."""
    squares = noise.features.flatten(1).square().sum(dim=1)
    return (penalty * squares - cross_entropy(model, noise)).mean()


@dataclass(frozen=True)
class Impairing:
    """A `BatchSource`: the batch of noise `repeats` times and the batches of a set, in random order."""

    noise: Batch
    repeats: int
    retain: UtteranceSet

    def __len__(self) -> int:
        return self.repeats * len(self.noise) + len(self.retain)

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Yield one epoch."""
        retain = self.retain.batches(batch_size, generator)
        count = self.repeats + -(-len(self.retain) // batch_size)
        order = torch.arange(count) if generator is None else torch.randperm(count, generator=generator)
        for place in order.tolist():
            yield self.noise if place < self.repeats else next(retain)


@dataclass(frozen=True, kw_only=True)
class Unsir(Method):
    """Three stages: learn noise, impair, repair."""

    label: ClassVar[str] = "UNSIR"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = "it learns noise for a class"
    search_space: ClassVar[SearchSpace] = {
        "rate_share": (0.005, 1.0),
        "repair_rate_share": (0.005, 1.0),
        "noise_steps": [5, 10, 40],
        "noise_repeats": [5, 10, 20],
    }

    learning_rate: Rate = "auto"  # of the impair pass
    rate_share: float = 0.5  # of the original's own rate, while learning_rate is auto
    repair_learning_rate: Rate = "auto"
    repair_rate_share: float = 0.25  # half of rate_share, as in the paper
    epochs: int = 1  # of the impair pass and of the repair pass
    batch_size: int = 32  # and utterances of noise
    retain_share: float = 0.2  # of D_r, for both passes
    retain_weight: float = 1.0  # λ of the retain part, next to the noise
    noise_steps: int = 40
    noise_learning_rate: float = 0.1  # Adam, of the features
    noise_penalty: float = 0.1  # ρ
    noise_repeats: int = 20  # batches of noise in an impair epoch
    retain_drawn: Literal["once", "each_epoch"] = added_later("once")  # the part of D_r
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E, in both passes

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.retain_share <= 1:
            raise ValueError(f"retain_share must be in (0, 1], got {self.retain_share}")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Learn the noise, which is charged, then yield the impair pass and the repair pass."""
        noise = self.learned_noise(problem)
        part = problem.part_of_retain(self.retain_share, self.retain_drawn)
        impair = Pass(
            name="impair",
            over=Impairing(noise, self.noise_repeats, part),
            loss=cross_entropy,
            learning_rate=self.rate(problem),
            batch_size=self.batch_size,
            epochs=self.epochs,
            schedule=self.rate_schedule,
            retain_weight=self.retain_weight,
        )
        yield impair
        repair_rate = self.rate(problem, "repair_learning_rate")
        yield replace(impair, name="repair", over=part, learning_rate=repair_rate, retain_weight=1.0, optimizer="fresh")

    def learned_noise(self, problem: UnlearningProblem) -> Batch:
        """Return a batch whose features maximize the model's loss for labels of D_f."""
        template = next(problem.forget.batches(self.batch_size, problem.generator))
        drawn = torch.randn(template.features.shape, generator=problem.generator)
        features = drawn.to(template.features).requires_grad_()
        noise = replace(template, features=features)
        adam = torch.optim.Adam([features], lr=self.noise_learning_rate)
        problem.model.eval()
        for _ in range(self.noise_steps):
            with problem.budget.charging(len(noise)):
                features.grad = torch.zeros_like(features)
                for part in noise.parts(problem.micro_batch):
                    share = len(part) / len(noise)
                    loss = share * noise_loss(problem.model, part, self.noise_penalty)
                    features.grad += torch.autograd.grad(loss, features)[0]
                adam.step()
            problem.budget.check()
        return replace(noise, features=features.detach())
