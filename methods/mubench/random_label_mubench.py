"""RandLabel as MU-Bench's code runs it: every label of D_f becomes the next class, not a random one.

Source: CLU-UML/MU-Bench, mubench/data/base.py: y' = (y + 1) mod C with C the number of labels in D_r, or C − 1 − y in
its predecessor; D_f and the whole of D_r shuffled together.
Differs: see methods/mubench/quirks.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from methods.base import Batch, Classifier, Method, Pass, UnlearningProblem
from methods.engine.losses import cross_entropy
from methods.mubench.quirks import SCHEDULE, Corruption, corrupted_labels
from methods.random_label import with_labels


@dataclass(frozen=True, kw_only=True)
class RandomLabelMubench(Method):
    """Fine-tuning on D_f under fixed wrong labels and on D_r."""

    label: ClassVar[str] = "RandLabel (MU-Bench code)"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = "the code that it follows maps each class to one wrong class"

    learning_rate: float = 5e-5  # highest of its schedule
    epochs: int = 5  # epochs over D_f ∪ D_r
    batch_size: int = 32
    corruption: Corruption = "shift"

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass over D_f ∪ D_r."""
        rows, labels = corrupted_labels(problem, self.corruption)

        def loss(model: Classifier, batch: Batch) -> Tensor:
            return cross_entropy(model, with_labels(batch, rows, labels))

        yield Pass(
            name="relabel",
            over=problem.forget + problem.retain,
            loss=loss,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            epochs=self.epochs,
            **SCHEDULE,
        )
