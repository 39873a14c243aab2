"""Fanchuan: make the model undecided on D_f, then alternately mix D_f up among D_r and repair on D_r.

Source: "fanchuan", first place of the NeurIPS 2023 unlearning challenge (Triantafillou et al., 2024, arXiv
2406.09073); reference code: `KGLTop1` of xcadet/deepunlearn. First one epoch over D_f of KL(uniform ‖ p). Then 8
rounds: an epoch over D_f of the mean over j of −log softmax_j(z · z_j / 1.15), z_j the logits of utterances of D_r,
held fixed, at a rate that falls by a cosine over all rounds; and an epoch over D_r of cross-entropy.
Differs: the z_j are those of one batch of D_r per round, taken in eval mode as the round begins, not of another batch
in each step, so that an utterance's loss does not depend on its batch; one AdamW for all, not three SGD optimizers
with momentum; rates keep the order of theirs, not the ratios, since AdamW does not feel the size of a loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from methods.base import Batch, Classifier, Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.losses import cross_entropy, distillation_loss
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule, epoch_factor
from methods.engine.setting_rules import added_later


def undecided(model: Classifier, batch: Batch) -> Tensor:
    """Return KL(uniform ‖ p) of each utterance."""
    logits = model(batch.features, batch.lengths)
    return distillation_loss(torch.zeros_like(logits), logits)


def mixed_up(
    logits: Float[Tensor, "batch classes"], others: Float[Tensor, "others classes"], temperature: float
) -> Float[Tensor, " batch"]:
    """Return the mean over j of −log softmax_j(z · z_j / T): least where all others are equally like an utterance."""
    return -(logits @ others.T / temperature).log_softmax(dim=1).mean(dim=1)


@dataclass(frozen=True, kw_only=True)
class Fanchuan(Method):
    """One pass on D_f, then rounds of two passes; one optimizer."""

    label: ClassVar[str] = "Fanchuan"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = "its first pass makes all classes equally likely, which is no transcript"
    search_space: ClassVar[SearchSpace] = {
        "rate_share": (0.005, 1.0),
        "repair_rate_share": (0.005, 1.0),
        "contrast_step": [0.03, 0.1, 0.3],
        "rounds": [1, 2, 4, 8],
    }

    learning_rate: Rate = "auto"  # of the first epoch over D_f
    rate_share: float = 0.1  # of the original's own rate, while learning_rate is auto
    repair_learning_rate: Rate = "auto"  # of the epochs over D_r
    repair_rate_share: float = 0.3  # likewise
    contrast_step: float = 0.1  # of learning_rate, in the first of the rounds on D_f
    rounds: int = 8
    batch_size: int = 32  # and utterances of D_r that D_f is mixed up among
    temperature: float = 1.15  # T of the products of logits
    retain_share: float = added_later(1.0)  # of D_r, drawn anew each round
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in round e of E, on D_r

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rounds < 0:
            raise ValueError(f"rounds must be 0 or more, got {self.rounds}")
        if self.contrast_step <= 0:
            raise ValueError(f"contrast_step must be above 0, got {self.contrast_step}")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield the first pass over D_f, then two passes a round."""
        rate, repair = self.rate(problem), self.rate(problem, "repair_learning_rate")
        first = Pass(
            name="undecided", over=problem.forget, loss=undecided, learning_rate=rate, batch_size=self.batch_size
        )
        yield first
        for number in range(self.rounds):
            others = self.others(problem)

            def contrast(model: Classifier, batch: Batch, others: Tensor = others) -> Tensor:
                return mixed_up(model(batch.features, batch.lengths), others, self.temperature)

            falling = self.contrast_step * (1 + math.cos(math.pi * number / self.rounds)) / 2
            yield replace(first, name=f"mix up {number + 1}", loss=contrast, learning_rate=falling * rate)
            yield Pass(
                name=f"repair {number + 1}",
                over=problem.retain.drawn_anew(self.retain_share),
                loss=cross_entropy,
                learning_rate=repair * epoch_factor(self.rate_schedule, number, self.rounds),
                batch_size=self.batch_size,
            )

    def others(self, problem: UnlearningProblem) -> Float[Tensor, "others classes"]:
        """Return the logits of a batch of D_r drawn anew, in eval mode; charged as a forward."""
        problem.model.eval()
        drawn = problem.retain.sample(self.batch_size, problem.generator)
        with torch.no_grad():
            batches = problem.iterate(drawn, self.batch_size, backward=False)
            return torch.cat([problem.model(batch.features, batch.lengths) for batch in batches])
