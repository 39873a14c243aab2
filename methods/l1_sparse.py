"""L1-sparse: fine-tune on D_r under a decreasing L1 penalty, because sparse networks forget more easily.

Source: Jia et al., NeurIPS 2023, arXiv 2304.04934: min_θ CE(D_r) + α_e·‖θ‖₁, α decreasing linearly; reference code
OPTML-Group/Unlearn-Sparse, `FT_prune`.
Differs: AdamW and 3 epochs in place of SGD and 10. AdamW rescales each weight's gradient, so where the penalty is the
larger part a weight shrinks by the learning rate a step, whatever α is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from methods.base import Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.losses import cross_entropy
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule, epoch_factor
from methods.engine.setting_rules import added_later


def decayed(penalty: float, epoch: int, penalised_epochs: int) -> float:
    """Return α_e = α·(1 − e/E) for e < E, then 0; e counts from 0."""
    return penalty * (1 - epoch / penalised_epochs) if epoch < penalised_epochs else 0.0


@dataclass(frozen=True, kw_only=True)
class L1Sparse(Method):
    """Fine-tuning on D_r with a linearly decreasing penalty; D_f is not used."""

    label: ClassVar[str] = "L1-sparse"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""
    search_space: ClassVar[SearchSpace] = {"rate_share": (0.005, 1.0), "l1_penalty": (1e-6, 1e-3), "epochs": [1, 2, 3]}

    learning_rate: Rate = "auto"
    rate_share: float = 0.5  # of the original's own rate, while learning_rate is auto
    epochs: int = 3  # epochs over D_r
    batch_size: int = 32
    l1_penalty: float = 1e-5  # α in the first epoch; the field searches 1e-6 to 5e-4
    epochs_without_penalty: int = 0  # at the end; part of `epochs`
    retain_share: float = added_later(1.0)  # of D_r, drawn anew each epoch
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.l1_penalty < 0:
            raise ValueError(f"l1_penalty must be 0 or more, got {self.l1_penalty}")
        if not 0 <= self.epochs_without_penalty <= self.epochs:
            raise ValueError(
                f"epochs_without_penalty must be between 0 and epochs ({self.epochs}), "
                f"got {self.epochs_without_penalty}"
            )

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass per epoch over D_r, each with its own penalty."""
        for epoch in range(self.epochs):
            yield Pass(
                name=f"sparse {epoch + 1}",
                over=problem.retain.drawn_anew(self.retain_share),
                loss=cross_entropy,
                learning_rate=self.rate(problem) * epoch_factor(self.rate_schedule, epoch, self.epochs),
                batch_size=self.batch_size,
                l1_penalty=decayed(self.l1_penalty, epoch, self.epochs - self.epochs_without_penalty),
            )
