"""MUNBa: step along the bargain between two gradients, one that forgets D_f and one that keeps D_r.

Source: Wu and Harandi, ICCV 2025 (arXiv 2411.15537), reference code JingWu321/MUNBa (Classification): the Nash
bargaining solution for the gradients g_f and g_r has the closed form α_f g_f + α_r g_r with α = 1 / (‖g‖ √(1 + cos φ)),
φ the angle between them, so that both players gain alike and neither norm dominates. g_f is that of cross-entropy to
random labels on a batch of D_f, g_r that of cross-entropy on a batch of D_r; where D_f has no batch left, the epoch
ends with plain steps on D_r. If the two point in opposite directions no bargain exists: the step is g_r + 0.1 g_f.
Differs: a drawn label is never the true one, and is drawn once an epoch rather than once a step; the closed form is
written without the cancellation of the reference's; AdamW at a constant rate, not SGD with steps (AdamW does not feel
the length of the bargain, only its direction).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from methods.base import Batch, BatchSource, Classifier, Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.losses import cross_entropy
from methods.engine.paired_batches import joined
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule, epoch_factor
from methods.engine.setting_rules import added_later
from methods.random_label import relabelled, with_labels

OPPOSITE = 1e-6  # of 1 + cos φ, below which there is no bargain
NO_BARGAIN = 0.1  # weight of g_f then


def bargain(forget: list[Tensor], retain: list[Tensor]) -> list[Tensor]:
    """Return α_f g_f + α_r g_r, in place of `forget`; nothing waits for the device."""
    size_f, size_r = (torch.stack([g.square().sum() for g in gs]).sum().sqrt() for gs in (forget, retain))
    product = torch.stack([(f * r).sum() for f, r in zip(forget, retain, strict=True)]).sum()
    likeness = 1 + product / (size_f * size_r)  # NaN or infinite if a square is too small for the precision, or 0
    agreed = torch.isfinite(likeness) & (likeness > OPPOSITE)
    alpha_f = torch.where(agreed, 1 / (size_f * likeness.sqrt()), NO_BARGAIN)
    alpha_r = torch.where(agreed, 1 / (size_r * likeness.sqrt()), 1.0)
    return [f.mul_(alpha_f).add_(r * alpha_r) for f, r in zip(forget, retain, strict=True)]


@dataclass(frozen=True)
class Together:
    """A `BatchSource`: each batch of D_f joined with one of D_r, then the rest of D_r; both sets once an epoch."""

    forget: BatchSource
    retain: BatchSource

    def __len__(self) -> int:
        return len(self.forget) + len(self.retain)

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Yield one epoch; `batch_size` utterances of each set at a time."""
        forget = self.forget.batches(batch_size, generator)
        for kept in self.retain.batches(batch_size, generator):
            forgotten = next(forget, None)
            yield kept if forgotten is None else joined(forgotten, kept)
        yield from forget


@dataclass(frozen=True, kw_only=True)
class Munba(Method):
    """Epochs over D_f and D_r together."""

    label: ClassVar[str] = "MUNBa"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""
    search_space: ClassVar[SearchSpace] = {"rate_share": (0.005, 1.0), "epochs": [1, 2, 3]}

    learning_rate: Rate = "auto"
    rate_share: float = 0.3  # of the original's own rate, while learning_rate is auto
    epochs: int = 1  # epochs over D_f and D_r
    batch_size: int = 32  # of D_f, and as many of D_r
    retain_share: float = added_later(1.0)  # of D_r, drawn anew each epoch
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass per epoch."""
        draws = relabelled(problem)
        for epoch in range(self.epochs):
            rows, labels = next(draws)

            def loss(model: Classifier, batch: Batch, rows: Tensor = rows, labels: Tensor = labels) -> Tensor:
                return cross_entropy(model, with_labels(batch, rows, labels))

            yield Pass(
                name=f"bargain {epoch + 1}",
                over=Together(problem.forget, problem.retain.drawn_anew(self.retain_share)),
                loss=loss,
                learning_rate=self.rate(problem) * epoch_factor(self.rate_schedule, epoch, self.epochs),
                batch_size=self.batch_size,
                combine=bargain,
            )
