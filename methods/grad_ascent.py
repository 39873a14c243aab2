"""GradAscent: ascend the task loss on D_f (NegGrad).

Source: Golatkar et al., CVPR 2020; arXiv 2506.00848 §4.3: L_f = −L_task, λ = 0.
Differs: the loss is unbounded, so the gradient norm is clipped (by the shared loop), and with `max_loss` the ascent
of an utterance stops once its loss exceeds it; chance level is log C.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from methods.base import Batch, Classifier, Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.losses import cross_entropy
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule
from methods.engine.setting_rules import added_later


@dataclass(frozen=True, kw_only=True)
class GradAscent(Method):
    """Gradient ascent on D_f; D_r is not used while `retain_weight` is 0."""

    label: ClassVar[str] = "GradAscent"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""
    search_space: ClassVar[SearchSpace] = {"rate_share": (0.0005, 0.5), "epochs": [1, 2, 4, 8]}

    learning_rate: Rate = "auto"
    rate_share: float = 0.3  # of the original's own rate, while learning_rate is auto
    epochs: int = 1  # epochs over D_f (over D when retain_weight is above 0)
    batch_size: int = 32
    retain_weight: float = 0.0  # λ
    max_loss: float | None = None  # nats; None climbs without end, as the paper does
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass over D_f with a negative sign."""

        def climb(model: Classifier, batch: Batch) -> Tensor:
            loss = cross_entropy(model, batch)
            if self.max_loss is None:
                return loss
            return loss.where(~batch.is_forget, loss.clamp(max=self.max_loss))

        yield Pass(
            name="ascend",
            over=problem.forget + problem.retain if self.retain_weight else problem.forget,
            loss=climb,
            learning_rate=self.rate(problem),
            batch_size=self.batch_size,
            epochs=self.epochs,
            schedule=self.rate_schedule,
            forget_sign=-1.0,
            retain_weight=self.retain_weight,
        )
