"""LoTUS: soften the original's predictions on D_f until the model is no better there than on unseen speech.

Source: Spartalis et al., CVPR 2025 (arXiv 2503.18314); reference code cspartalis/LoTUS: before each epoch
τ = exp(α (acc(f', D_f) − acc(f, D_v))), with acc(f, D_v) = 0 for class unlearning, and the end once the difference is
−0.01 or less; cross-entropy to Gumbel-softmax(z_f, τ) on D_f and to its hard form on 30 % of D_r.
It ends before its first pass where f is no better on D_f than on D_v, as with wrong labels that f did not learn: LoTUS
does not apply to these, and the row's note says so.
Differs: the Gumbel noise of an utterance is drawn once an epoch, so that a step can be taken again in parts; AdamW
without weight decay.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from methods.base import Batch, Classifier, Method, Pass, SearchSpace, UnlearningProblem, UtteranceSet
from methods.engine.answers import CLASSES, logits_of, mean_over_steps, target_of
from methods.engine.random_draws import Draws, gumbel_noise
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule, epoch_factor
from methods.engine.setting_rules import added_later

ENOUGH = -0.01  # difference of accuracies at which the reference code ends


def tempered_targets(
    logits: Float[Tensor, "batch *steps classes"],
    noise: Float[Tensor, "batch *steps classes"],
    temperature: float,
    is_forget: Bool[Tensor, " batch"],
) -> Float[Tensor, "batch *steps classes"]:
    """Return softmax((z + g) / τ) for D_f and its one-hot form for D_r; rows sum to 1."""
    soft = torch.softmax((logits + noise) / temperature, dim=-1)
    hard = functional.one_hot(soft.argmax(dim=-1), soft.shape[-1]).to(soft)
    return torch.where(is_forget.view(-1, *[1] * (soft.ndim - 1)), soft, hard)


def charged_accuracy(problem: UnlearningProblem, utterances: UtteranceSet, batch_size: int) -> float:
    """Return the model's accuracy, 0-1, in eval mode; charged, because the method depends on it.

    A recognizer's is its word accuracy, which the problem scores.
    """
    if target_of(problem.model) != CLASSES:
        return problem.evaluate(utterances).accuracy
    problem.model.eval()
    right = 0
    for batch in problem.iterate(utterances, batch_size, backward=False):
        with torch.no_grad():
            predicted = problem.model(batch.features, batch.lengths).argmax(dim=-1)
        right += int((predicted == batch.labels).sum())
    return right / len(utterances)


@dataclass(frozen=True, kw_only=True)
class Lotus(Method):
    """Distillation from a softened original, whose temperature follows the accuracy on D_f."""

    label: ClassVar[str] = "LoTUS"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""
    search_space: ClassVar[SearchSpace] = {
        "rate_share": (0.0005, 0.5),
        "alpha": [0.5, 1.0, 2.0, 4.0],
        "epochs": [1, 3, 5],
    }

    learning_rate: Rate = "auto"
    rate_share: float = 0.1  # of the original's own rate, while learning_rate is auto
    epochs: int = 3  # at most; epochs over D_f and the chosen part of D_r
    batch_size: int = 32
    alpha: float = 1.0  # of τ = exp(α · difference of accuracies)
    retain_share: float = 0.3  # of D_r
    retain_weight: float = 1.0  # λ
    retain_drawn: Literal["once", "each_epoch"] = added_later("once")  # the part of D_r
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.retain_share <= 1:
            raise ValueError(f"retain_share must be in (0, 1], got {self.retain_share}")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass per epoch, until D_f is predicted no better than D_v was by f."""
        over = problem.forget + problem.part_of_retain(self.retain_share, self.retain_drawn)
        rows = over.utterances.sort().values
        forgotten = torch.tensor(problem.forgotten_classes, dtype=torch.long)
        of_class = bool(torch.isin(problem.forget.labels, forgotten).all())
        unseen = None if of_class else problem.validation
        target = charged_accuracy(problem, unseen, self.batch_size) if unseen is not None and len(unseen) else 0.0
        for epoch in range(self.epochs):
            accuracy = charged_accuracy(problem, problem.forget, self.batch_size)
            difference = accuracy - target
            if difference <= ENOUGH:
                if epoch == 0:
                    problem.notes.append(
                        f"LoTUS stopped before its first pass: f is right on {accuracy:.1%} of D_f and {target:.1%} of "
                        "D_v; it does not apply where f is wrong, as on wrong labels that f did not learn"
                    )
                return
            temperature = math.exp(self.alpha * difference)
            gumbel = gumbel_noise(problem, rows)

            def soften(
                model: Classifier, batch: Batch, gumbel: Draws = gumbel, temperature: float = temperature
            ) -> Tensor:
                logits = problem.original_logits(batch)
                targets = tempered_targets(logits, gumbel(batch, logits), temperature, batch.is_forget)
                return mean_over_steps(-(targets * logits_of(model, batch).log_softmax(dim=-1)).sum(dim=-1), logits)

            yield Pass(
                name=f"soften {epoch + 1}",
                over=over,
                loss=soften,
                learning_rate=self.rate(problem) * epoch_factor(self.rate_schedule, epoch, self.epochs),
                batch_size=self.batch_size,
                retain_weight=self.retain_weight,
            )
