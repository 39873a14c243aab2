"""Bad-T light: imitate random logits on D_f and the original on D_r, without a second network.

Source: UnSLU-BENCH (Koudounas et al., Interspeech 2025), "BT-L", after Chundawat et al., AAAI 2023: the incompetent
teacher's logits are drawn from N(0, 1).
Differs: an utterance's logits are drawn once and kept, as a random network's would be; the reference code draws anew at
each step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from methods.base import Batch, Classifier, Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.forget_table import ForgetTable
from methods.engine.losses import distillation_loss
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule
from methods.engine.setting_rules import added_later


@dataclass(frozen=True, kw_only=True)
class BadTeacherLight(Method):
    """Distillation from noise and from the original, on the shuffled union."""

    label: ClassVar[str] = "Bad-T light"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = "its random logits belong to classes; bad_teacher has a random recognizer"
    search_space: ClassVar[SearchSpace] = {
        "rate_share": (0.0005, 0.5),
        "retain_weight": (0.1, 10.0),
        "epochs": [1, 2, 3],
    }

    learning_rate: Rate = "auto"
    rate_share: float = 0.2  # of the original's own rate, while learning_rate is auto
    epochs: int = 1  # epochs over D_f ∪ D_r
    batch_size: int = 32
    retain_weight: float = 1.0  # λ
    temperature: float = 1.0  # of both softmaxes
    retain_share: float = added_later(1.0)  # of D_r, drawn anew each epoch
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass over D_f ∪ D_r."""
        rows = problem.forget.utterances.sort().values
        drawn = ForgetTable(rows, torch.randn(len(rows), problem.num_classes, generator=problem.generator))

        def imitate(model: Classifier, batch: Batch) -> Tensor:
            teacher = drawn.put(batch, problem.original_logits(batch))
            return distillation_loss(teacher, model(batch.features, batch.lengths), self.temperature)

        yield Pass(
            name="imitate",
            over=problem.forget + problem.retain.drawn_anew(self.retain_share),
            loss=imitate,
            learning_rate=self.rate(problem),
            batch_size=self.batch_size,
            epochs=self.epochs,
            schedule=self.rate_schedule,
            retain_weight=self.retain_weight,
        )
