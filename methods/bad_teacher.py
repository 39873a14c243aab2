"""Bad-T: imitate an incompetent teacher on D_f and the original on D_r.

Source: Chundawat et al., AAAI 2023: KL(teacher‖student), the incompetent teacher a randomly initialized copy of the
architecture; arXiv 2506.00848 §4.3: λ = 1. That paper writes KL(student‖teacher): `divergence: from_student`, or the
preset `paper`.
Differs: KL carries the factor T² of Hinton et al. (2015), which the source leaves out, so that another `temperature`
does not change the size of gradients (at the default of 1 there is no difference); all of D_r is used unless
`retain_share` says otherwise (their notebook takes 30 %); the mean is over utterances, not over utterances × classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from methods.base import Batch, Classifier, Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.answers import CLASSES, logits_of, target_of
from methods.engine.forget_table import ForgetTable
from methods.engine.losses import distillation_loss
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule
from methods.engine.setting_rules import added_later


def incompetent_teacher(problem: UnlearningProblem, batch_size: int) -> Callable[[Batch, Tensor], Tensor]:
    """Return what puts the logits of a random network in place of others on D_f.

    A classifier's are computed once and kept; a recognizer's, which are large, are computed again in each batch. They
    are charged whenever they are computed.
    """
    incompetent = problem.random_model()
    incompetent.eval()
    if target_of(problem.model) == CLASSES:
        kept = []
        for batch in problem.iterate(problem.forget, batch_size, backward=False):
            with torch.no_grad():
                kept.append(logits_of(incompetent, batch))
        return ForgetTable.of(problem.forget.utterances, torch.cat(kept)).put

    def put(batch: Batch, target: Tensor) -> Tensor:
        own = batch.forget_on_host
        if not bool(own.any()):
            return target
        with torch.no_grad():
            found = logits_of(incompetent, batch.select(own))
        return target.index_copy(0, batch.places(own), found.to(target.dtype))

    return put


@dataclass(frozen=True, kw_only=True)
class BadTeacher(Method):
    """Distillation from two teachers on the shuffled union."""

    label: ClassVar[str] = "Bad-T"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""
    search_space: ClassVar[SearchSpace] = {
        "rate_share": (0.005, 1.0),
        "retain_weight": (0.1, 10.0),
        "epochs": [1, 2, 3],
    }

    learning_rate: Rate = "auto"
    rate_share: float = 0.2  # of the original's own rate, while learning_rate is auto
    epochs: int = 1  # epochs over D_f and the chosen part of D_r
    batch_size: int = 32
    retain_weight: float = 1.0  # λ
    retain_share: float = 1.0  # of D_r
    temperature: float = 1.0  # of both softmaxes
    divergence: Literal["from_teacher", "from_student"] = added_later("from_teacher")  # KL(teacher ‖ student)
    retain_drawn: Literal["once", "each_epoch"] = added_later("once")  # the part of D_r
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.retain_share <= 1:
            raise ValueError(f"retain_share must be in (0, 1], got {self.retain_share}")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass over D_f ∪ D_r."""
        bad = incompetent_teacher(problem, self.batch_size)
        retain = problem.part_of_retain(self.retain_share, self.retain_drawn)

        def imitate(model: Classifier, batch: Batch) -> Tensor:
            teacher = bad(batch, problem.original_logits(batch))
            student = logits_of(model, batch)
            pair = (teacher, student) if self.divergence == "from_teacher" else (student, teacher.to(student))
            return distillation_loss(*pair, self.temperature)

        yield Pass(
            name="imitate",
            over=problem.forget + retain,
            loss=imitate,
            learning_rate=self.rate(problem),
            batch_size=self.batch_size,
            epochs=self.epochs,
            schedule=self.rate_schedule,
            retain_weight=self.retain_weight,
        )
