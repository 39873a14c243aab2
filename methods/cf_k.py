"""CF-k: fine-tune the last k blocks on D_r, with all other weights frozen (catastrophic forgetting).

Source: Goel et al., 2022, arXiv 2201.06640: CF-k; reference code shash42/Evaluating-Inexact-Unlearning.
Differs: k counts blocks of the network (the head, the projection, a transformer layer), not layers; AdamW.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from methods.base import Classifier, Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.losses import cross_entropy
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule
from methods.engine.setting_rules import added_later


def last_blocks(model: Classifier, count: int) -> Sequence[nn.Module]:
    """Return the last `count` blocks, the head last.

    Raises:
        ValueError: the network has fewer.
    """
    if reason := too_many_blocks(model, count):
        raise ValueError(reason)
    return model.blocks[-count:]


def too_many_blocks(model: Classifier, count: int) -> str:
    """Return why the network does not have `count` blocks, or an empty string."""
    if 1 <= count <= len(model.blocks):
        return ""
    return f"last_blocks must be between 1 and the network's {len(model.blocks)} blocks, got {count}"


@contextmanager
def only_moving(model: Classifier, blocks: Sequence[nn.Module]) -> Iterator[list[nn.Parameter]]:
    """Freeze all weights outside `blocks` within the context; yield the weights that stay trainable."""
    moving = [p for block in blocks for p in block.parameters() if p.requires_grad]
    kept = {id(p) for p in moving}
    frozen = [p for p in model.parameters() if p.requires_grad and id(p) not in kept]
    for p in frozen:
        p.requires_grad_(False)
    try:
        yield moving
    finally:
        for p in frozen:
            p.requires_grad_(True)


@dataclass(frozen=True, kw_only=True)
class CatastrophicForgetting(Method):
    """Fine-tuning of the last blocks on D_r; D_f is not used."""

    label: ClassVar[str] = "CF-k"
    version: ClassVar[int] = 2
    needs_classes: ClassVar[str] = ""
    search_space: ClassVar[SearchSpace] = {"rate_share": (0.005, 1.0), "last_blocks": [1, 2, 3], "epochs": [1, 2, 3]}

    learning_rate: Rate = "auto"
    rate_share: float = 1.0  # of the original's own rate, while learning_rate is auto
    epochs: int = 3  # epochs over D_r
    batch_size: int = 32
    last_blocks: int = 2  # k; 1 is the head, 2 the projection too
    retain_share: float = added_later(1.0)  # of D_r, drawn anew each epoch
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def reason_model_unsupported(self, model: Classifier) -> str:
        """Return why the network has too few blocks, or an empty string."""
        return too_many_blocks(model, self.last_blocks)

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass over D_r."""
        with only_moving(problem.model, last_blocks(problem.model, self.last_blocks)) as moving:
            yield Pass(
                name="fine-tune",
                over=problem.retain.drawn_anew(self.retain_share),
                loss=cross_entropy,
                learning_rate=self.rate(problem),
                batch_size=self.batch_size,
                epochs=self.epochs,
                schedule=self.rate_schedule,
                parameters=moving,
            )
