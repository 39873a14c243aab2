"""SFRon: train on D_r and, every few steps, ascend on D_f with the weights that matter more to D_f.

Source: Huang et al., NeurIPS 2024 ("Unified gradient-based machine unlearning with remain geometry enhancement");
reference code K1nght/Unified-Unlearning-w-Remain-Geometry: every fifth step of CE on D_r is preceded by one of
−α_t Σ w_i CE_i on D_f, w_i ∝ CE_i^(−λ), λ = 0.5, α_t from 25 by a cosine to 0, its gradient masked to weights with
F_f ≥ γ F_r, γ = 1; F is the mean squared gradient of a batch.
Differs: w_i is divided once, by its mean over D_f under the original's losses, not in each batch. There Σ w_i is the
size of the batch whatever its losses are, so the ascent stays as strong as α_t however much is forgotten already.
Here it fades as losses rise: an utterance at loss l instead of its first l_0 counts (l_0 / l)^λ as much, which with λ
= 0.5 is a tenth after a rise from 0.01 to 1 nat. AdamW feels only how steps compare, and the shared norm clips both
kinds of step (theirs only the ascent, at 7). AdamW at a constant rate for a number of epochs over D_r, not SGD with a
cosine for 1,500 steps; F_r is taken on a part of D_r as large as D_f, so that the mask costs two epochs over D_f.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from methods.base import Batch, Classifier, Method, Pass, SearchSpace, UnlearningProblem, UtteranceSet
from methods.engine.gradients import batch_gradient, trainable
from methods.engine.losses import cross_entropy, original_losses
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule
from methods.engine.setting_rules import added_later

SMALLEST_LOSS = 1e-6  # nats; keeps CE^(−λ) finite


def mean_squared_gradient(problem: UnlearningProblem, utterances: UtteranceSet, batch_size: int) -> dict[str, Tensor]:
    """Return the mean over batches of (∇ mean CE)² in eval mode, a diagonal Fisher; its epoch is charged."""
    weights, count = trainable(problem.model), -(-len(utterances) // batch_size)
    found = {name: torch.zeros_like(p) for name, p in weights.items()}
    problem.model.eval()
    for batch in problem.iterate(utterances, batch_size, backward=True):
        for name, gradient in batch_gradient(problem, batch, weights).items():
            found[name].addcmul_(gradient, gradient, value=1 / count)
    return found


@dataclass(frozen=True)
class Alternating:
    """A `BatchSource`: D_r once, and before each `every`-th of its batches one of D_f, which is repeated as needed."""

    forget: UtteranceSet
    retain: UtteranceSet
    every: int
    batch_size: int

    @property
    def ascents(self) -> int:
        """The number of batches of D_f in one epoch."""
        return -(-len(self.retain) // (self.batch_size * self.every))

    def __len__(self) -> int:
        return len(self.retain) + self.ascents * min(self.batch_size, len(self.forget))

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Yield one epoch."""
        forget: Iterator[Batch] = iter(())
        for number, batch in enumerate(self.retain.batches(batch_size, generator)):
            if number % self.every == 0:
                found = next(forget, None)
                if found is None:
                    forget = self.forget.batches(batch_size, generator)
                    found = next(forget)
                yield found
            yield batch


@dataclass(frozen=True, kw_only=True)
class SFRon(Method):
    """Masked, weighted ascent on D_f among descent on D_r; one optimizer for both."""

    label: ClassVar[str] = "SFRon"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""
    search_space: ClassVar[SearchSpace] = {
        "rate_share": (0.0005, 0.5),
        "ascent_weight": (1.0, 500.0),
        "epochs": [1, 2, 3],
    }

    learning_rate: Rate = "auto"
    rate_share: float = 0.1  # of the original's own rate, while learning_rate is auto
    epochs: int = 1  # epochs over D_r
    batch_size: int = 32
    ascent_every: int = 5  # steps on D_r for each step on D_f
    ascent_weight: float = 25.0  # α_f, at the start of its cosine
    easy_exponent: float = 0.5  # λ of the paper: how much utterances of small loss are favored
    mask_threshold: float = 1.0  # γ of F_f ≥ γ F_r
    retain_weight: float = 1.0  # λ of this project
    retain_share: float = added_later(1.0)  # of D_r, drawn anew each epoch
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ascent_every < 1:
            raise ValueError(f"ascent_every must be 1 or more, got {self.ascent_every}")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Compute the mask, then yield one pass over the alternation."""
        like_forget = problem.retain.sample(len(problem.forget), problem.generator)
        matters = mean_squared_gradient(problem, problem.forget, self.batch_size)
        kept = mean_squared_gradient(problem, like_forget, self.batch_size)
        masks = {name: matters[name] >= self.mask_threshold * kept[name] for name in matters}
        usual = float(self.favor(original_losses(problem, problem.forget)).mean())
        retain = problem.retain.drawn_anew(self.retain_share)
        over = Alternating(problem.forget, retain, self.ascent_every, self.batch_size)
        state = {"ascends": False, "ascents": 0}

        def loss(model: Classifier, batch: Batch) -> Tensor:
            task_loss = cross_entropy(model, batch)
            state["ascends"] = bool(batch.forget_on_host.any())
            if not state["ascends"]:
                return task_loss
            progress = state["ascents"] / max(1, over.ascents * self.epochs)
            strength = self.ascent_weight * (1 + math.cos(math.pi * progress)) / 2
            return strength * self.favor(task_loss.detach()) / usual * task_loss

        def mask_ascent(model: Classifier) -> None:
            if state["ascends"]:
                for name, p in model.named_parameters():
                    if p.grad is not None:
                        p.grad *= masks[name]

        def count_ascent(model: Classifier, optimizer: torch.optim.Optimizer) -> None:
            state["ascents"] += state["ascends"]

        yield Pass(
            name="alternate",
            over=over,
            loss=loss,
            learning_rate=self.rate(problem),
            batch_size=self.batch_size,
            epochs=self.epochs,
            schedule=self.rate_schedule,
            forget_sign=-1.0,
            retain_weight=self.retain_weight,
            before_step=mask_ascent,
            after_step=count_ascent,
        )

    def favor(self, losses: Tensor) -> Tensor:
        """Return CE^(−λ) of each utterance: easy ones, which are not forgotten yet, count more."""
        return losses.clamp(min=SMALLEST_LOSS) ** -self.easy_exponent
