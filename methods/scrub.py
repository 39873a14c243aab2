"""SCRUB: drive the student away from the original on D_f and hold it to the original on D_r.

Source: Kurmanji et al., NeurIPS 2023: max step −KL_T(teacher‖student) on D_f; min step γ·CE + α·KL_T on D_r; an epoch
does the max step first, for the first `max_epochs` epochs, then always the min step.
`order: ascend_first` is the wording of arXiv 2506.00848 §4.3: all ascent, then all descent.
Differs: AdamW at a constant rate instead of SGD or Adam with steps; the teacher's logits come from the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from methods.base import Batch, Classifier, Method, Pass, UnlearningProblem
from methods.losses import distillation_loss, label_loss
from methods.rates import Rate


@dataclass(frozen=True, kw_only=True)
class Scrub(Method):
    """Alternating max and min passes, one optimizer for both."""

    label: ClassVar[str] = "SCRUB"
    version: ClassVar[int] = 1

    learning_rate: Rate = "auto"
    rate_share: float = 0.1  # of the original's own rate, while learning_rate is auto
    epochs: int = 3  # min passes over D_r
    max_epochs: int = 2  # max passes over D_f
    batch_size: int = 32  # of the min pass
    forget_batch_size: int = 32  # of the max pass
    temperature: float = 4.0  # of the distillation softmax
    ce_weight: float = 1.0  # γ
    kl_weight: float = 0.5  # α
    retain_weight: float = 1.0  # λ
    order: Literal["alternate", "ascend_first"] = "alternate"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in ("alternate", "ascend_first"):
            raise ValueError(f"order is not known: got {self.order!r}, allowed: alternate, ascend_first")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Max passes over D_f and min passes over D_r, in the chosen order."""

        def divergence(model: Classifier, batch: Batch) -> Tensor:
            student = model(batch.features, batch.lengths)
            return distillation_loss(problem.original_logits(batch), student, self.temperature)

        def hold(model: Classifier, batch: Batch) -> Tensor:
            student = model(batch.features, batch.lengths)
            task_loss = label_loss(student, batch.labels)
            kl = distillation_loss(problem.original_logits(batch), student, self.temperature)
            return self.ce_weight * task_loss + self.kl_weight * kl

        def ascend(epoch: int) -> Pass:
            return Pass(
                name=f"max {epoch + 1}",
                over=problem.forget,
                loss=divergence,
                learning_rate=self.rate(problem),
                batch_size=self.forget_batch_size,
                forget_sign=-1.0,
            )

        def descend(epoch: int) -> Pass:
            return Pass(
                name=f"min {epoch + 1}",
                over=problem.retain,
                loss=hold,
                learning_rate=self.rate(problem),
                batch_size=self.batch_size,
                retain_weight=self.retain_weight,
            )

        if self.order == "ascend_first":
            yield from (ascend(epoch) for epoch in range(self.max_epochs))
            yield from (descend(epoch) for epoch in range(self.epochs))
            return
        for epoch in range(max(self.epochs, self.max_epochs)):
            if epoch < self.max_epochs:
                yield ascend(epoch)
            if epoch < self.epochs:
                yield descend(epoch)
