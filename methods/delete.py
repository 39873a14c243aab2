"""DELETE: imitate the original's output on D_f with the label removed.

Source: Zhou et al. (Decoupled Distillation to Erase), CVPR 2025, arXiv 2503.23751: KL(softmax(z₀ with
z_y = −∞) ‖ p_θ) on D_f; reference code shaaaaron/DELETE.
Differs: all forgotten classes are taken out of the target, not only the utterance's own; AdamW.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from methods.base import Batch, Classifier, Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.losses import distillation_loss
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule
from methods.engine.setting_rules import added_later
from methods.engine.transfer import sent

IMPOSSIBLE = -1e9  # a logit whose probability is exactly 0, and 0 times whose logarithm is 0


def without_labels(
    logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"], excluded: tuple[int, ...]
) -> Float[Tensor, "batch classes"]:
    """Return logits with each row's label and the `excluded` classes impossible; the rest keep their ratios.

    Raises:
        ValueError: no class is left.
    """
    num_classes = logits.shape[1]
    left = num_classes - len(set(excluded))
    if left == 0 or (left == 1 and not set(labels.tolist()) <= set(excluded)):
        raise ValueError(f"no class is left to teach: {num_classes} classes, of which {len(excluded)} are forgotten")
    taken = torch.zeros(num_classes, dtype=torch.bool)
    taken[list(excluded)] = True
    return logits.scatter(1, labels[:, None], IMPOSSIBLE).masked_fill(sent(taken, logits.device), IMPOSSIBLE)


@dataclass(frozen=True, kw_only=True)
class Delete(Method):
    """Distillation on D_f from the original without the label; D_r is not used."""

    label: ClassVar[str] = "DELETE"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = "it masks the class of an utterance in the original's answer"
    search_space: ClassVar[SearchSpace] = {"rate_share": (0.0005, 0.5), "epochs": [5, 10, 20]}

    learning_rate: Rate = "auto"
    rate_share: float = 0.02  # of the original's own rate, while learning_rate is auto
    epochs: int = 20  # epochs over D_f
    batch_size: int = 32
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass over D_f."""

        def loss(model: Classifier, batch: Batch) -> Tensor:
            target = without_labels(problem.original_logits(batch), batch.labels, problem.forgotten_classes)
            return distillation_loss(target, model(batch.features, batch.lengths))

        yield Pass(
            name="distil",
            over=problem.forget,
            loss=loss,
            learning_rate=self.rate(problem),
            batch_size=self.batch_size,
            epochs=self.epochs,
            schedule=self.rate_schedule,
        )
