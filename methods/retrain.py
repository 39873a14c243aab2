"""Retrain: train from scratch on D_r alone; the reference that unlearning is compared with.

With an empty D_f it trains the original itself.
Source: arXiv 2506.00848 §4.1. Same initial weights, settings, rules for data order and choice of checkpoint as the
original.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from methods.base import Method, Pass, UnlearningProblem
from methods.engine.losses import cross_entropy


@dataclass(frozen=True, kw_only=True)
class Retrain(Method):
    """Cross-entropy on D_r from the pretrained encoder; the epoch that is best on D_v is kept, or the last."""

    label: ClassVar[str] = "Retrain"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""
    takes_adapters: ClassVar[bool] = False

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass: the original's schedule over D_r."""
        problem.model.load_state_dict(problem.fresh_model().state_dict())
        training = problem.training
        yield Pass(
            name="train",
            over=problem.retain,
            loss=cross_entropy,
            learning_rate=training.learning_rate,
            batch_size=training.batch_size,
            epochs=training.epochs,
            weight_decay=training.weight_decay,
            schedule=training.schedule,
            warmup_share=training.warmup_share,
            keep_best=training.keep_epoch == "best",
            choice_charged=False,
        )
