"""EU-k: reset the last k blocks to where training began and train them on D_r, with all other weights frozen.

Source: Goel et al., 2022, arXiv 2201.06640: EU-k (exact unlearning of the last k layers); reference code
shash42/Evaluating-Inexact-Unlearning.
Differs: a block begins as Retrain's does, so layers of a pretrained encoder begin pretrained, not random; k counts
blocks of the network; AdamW at a constant rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from methods.base import Classifier, Method, Pass, SearchSpace, UnlearningProblem
from methods.cf_k import last_blocks, only_moving, too_many_blocks
from methods.engine.losses import cross_entropy
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule
from methods.engine.setting_rules import added_later


@dataclass(frozen=True, kw_only=True)
class ExactUnlearning(Method):
    """Retraining of the last blocks on D_r; earlier blocks stay as trained on D_f."""

    label: ClassVar[str] = "EU-k"
    version: ClassVar[int] = 2
    needs_classes: ClassVar[str] = ""
    takes_adapters: ClassVar[bool] = False
    search_space: ClassVar[SearchSpace] = {"rate_share": (0.005, 1.0), "last_blocks": [1, 2, 3], "epochs": [1, 2, 3, 5]}

    learning_rate: Rate = "auto"
    rate_share: float = 1.0  # of the original's own rate, while learning_rate is auto
    epochs: int = 5  # epochs over D_r
    batch_size: int = 32
    last_blocks: int = 2  # k; 1 is the head, 2 the projection too
    retain_share: float = added_later(1.0)  # of D_r, drawn anew each epoch
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def reason_model_unsupported(self, model: Classifier) -> str:
        """Return why the network has too few blocks, or an empty string."""
        return too_many_blocks(model, self.last_blocks)

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass over D_r."""
        blocks = last_blocks(problem.model, self.last_blocks)
        for block, start in zip(blocks, last_blocks(problem.fresh_model(), self.last_blocks), strict=True):
            block.load_state_dict(start.state_dict())
        with only_moving(problem.model, blocks) as moving:
            yield Pass(
                name="train",
                over=problem.retain.drawn_anew(self.retain_share),
                loss=cross_entropy,
                learning_rate=self.rate(problem),
                batch_size=self.batch_size,
                epochs=self.epochs,
                schedule=self.rate_schedule,
                parameters=moving,
            )
