"""SCRUB as MU-Bench's code runs it: all ascent first, then all descent, on a "KL" between raw logits.

Source: CLU-UML/MU-Bench, mubench/trainer/scrub.py: −KL on D_f for one half of the epochs, then CE + KL on D_r for the
other, KLDivLoss of logits and logits, no temperature and no weights; each half has an optimizer and a schedule of its
own.
Differs: whole epochs, the descent gets the odd one (that code stops in the middle of an epoch; its newer version
halves twice by mistake); see also methods/mubench/quirks.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from methods.base import Batch, Classifier, Method, Pass, UnlearningProblem
from methods.engine.losses import label_loss
from methods.mubench.quirks import SCHEDULE, raw_logit_kl


@dataclass(frozen=True, kw_only=True)
class ScrubMubench(Method):
    """One max pass, one min pass."""

    label: ClassVar[str] = "SCRUB (MU-Bench code)"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = "the code that it follows compares logits of classes"

    learning_rate: float = 5e-5  # highest of each half's schedule
    epochs: int = 5  # of both halves together
    batch_size: int = 32

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass away from the original on D_f, then one toward it and the labels on D_r."""

        def away(model: Classifier, batch: Batch) -> Tensor:
            return raw_logit_kl(problem.original_logits(batch), model(batch.features, batch.lengths))

        def hold(model: Classifier, batch: Batch) -> Tensor:
            student = model(batch.features, batch.lengths)
            return label_loss(student, batch.labels) + raw_logit_kl(problem.original_logits(batch), student)

        yield Pass(
            name="max",
            over=problem.forget,
            loss=away,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            epochs=self.epochs // 2,
            forget_sign=-1.0,
            **SCHEDULE,
        )
        yield Pass(
            name="min",
            over=problem.retain,
            loss=hold,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            epochs=self.epochs - self.epochs // 2,
            optimizer="fresh",
            **SCHEDULE,
        )
