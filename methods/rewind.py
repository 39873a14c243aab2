"""Rewind: return to weights from early in training and finish the schedule on D_r alone; not exact.

Source: Mu and Klabjan, Rewind-to-Delete, NeurIPS 2025 (arXiv 2409.09778). Needs an original of training kind
`early_checkpoints`. Not exact: the checkpoint was trained on D_f, less so the earlier it is.
Differs: AdamW with new moments, the rest of the schedule in place of a constant rate, the epoch that Retrain keeps,
and no noise, so that nothing is certified.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from methods.base import Method, Pass, UnlearningProblem
from methods.engine.budget import FORWARD_SHARE
from methods.engine.losses import cross_entropy
from methods.trainings.early_checkpoints import checkpoint


@dataclass(frozen=True, kw_only=True)
class Rewind(Method):
    """Training from a checkpoint; the rest of the schedule is compressed if the budget has no room for it."""

    label: ClassVar[str] = "Rewind"
    version: ClassVar[int] = 2
    needs_classes: ClassVar[str] = ""
    requires_training: ClassVar[str] = "early_checkpoints"
    takes_adapters: ClassVar[bool] = False

    share: float = 0.4  # of the original's schedule that is kept: one of the training's `keep_at`

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share < 1:
            raise ValueError(f"share must be strictly between 0 and 1, got {self.share}")

    def reason_unsupported(self, kind: str, settings: Mapping[str, Any]) -> str:
        """Return why the training does not keep the weights that are needed, or an empty string."""
        if reason := super().reason_unsupported(kind, settings):
            return reason
        kept = settings["keep_at"]
        if self.share in kept:
            return ""
        return f"share must be one of the training's keep_at ({', '.join(map(str, kept))}), got {self.share:g}"

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass over D_r, from the rate that the schedule had reached."""
        if problem.original_artifacts is None:
            raise ValueError(
                f"rewind needs an original of training kind {self.requires_training}; "
                "got one whose training kept no weights"
            )
        training, budget = problem.training, problem.budget
        problem.model.load_state_dict(checkpoint(problem.original_artifacts, self.share))
        epochs = max(1, math.ceil(round((1 - self.share) * training.epochs, 6)))
        if budget.limit is not None and budget.unit == "samples":
            choice = FORWARD_SHARE * len(problem.validation) if training.keep_epoch == "best" else 0.0
            remaining = budget.limit - budget.samples
            epochs = max(1, min(epochs, int(remaining / max(1, len(problem.retain) + choice))))
        left = (1 - self.share) / (1 - training.warmup_share) if training.schedule == "linear" else 1.0
        yield Pass(
            name="rewind",
            over=problem.retain,
            loss=cross_entropy,
            learning_rate=training.learning_rate * min(1.0, left),
            batch_size=training.batch_size,
            epochs=epochs,
            weight_decay=training.weight_decay,
            schedule=training.schedule,
            keep_best=training.keep_epoch == "best",
        )
