"""NegGrad+: descend on D_r and ascend on D_f in the same step (GradDiff).

Source: Kurmanji et al., NeurIPS 2023, arXiv 2302.09880 (NegGrad+): α·CE(D_r) − (1 − α)·CE(D_f);
reference code meghdadk/SCRUB.
Differs: AdamW; the batch loss is half of the formula, because both halves are divided by the whole batch; the
penalty on ‖θ − θ₀‖² that the code offers is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from methods.base import Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.losses import cross_entropy
from methods.engine.paired_batches import Paired
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule
from methods.engine.setting_rules import added_later


@dataclass(frozen=True, kw_only=True)
class NegGradPlus(Method):
    """Batches of two equal halves: D_r once per epoch, D_f repeated as needed."""

    label: ClassVar[str] = "NegGrad+"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""
    search_space: ClassVar[SearchSpace] = {
        "rate_share": (0.0005, 0.5),
        "alpha": [0.5, 0.8, 0.95, 0.99],
        "epochs": [1, 2, 3],
    }

    learning_rate: Rate = "auto"
    rate_share: float = 0.2  # of the original's own rate, while learning_rate is auto
    epochs: int = 1  # epochs over D_r
    batch_size: int = 32  # half of D_r, half of D_f
    alpha: float = 0.95  # α: 1 is fine-tuning, 0 gradient ascent
    retain_share: float = added_later(1.0)  # of D_r, drawn anew each epoch
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must be in [0, 1], got {self.alpha}")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass over D_r, paired with D_f."""
        yield Pass(
            name="descend and climb",
            over=Paired(problem.retain.drawn_anew(self.retain_share), problem.forget),
            loss=cross_entropy,
            learning_rate=self.rate(problem),
            batch_size=self.batch_size,
            epochs=self.epochs,
            schedule=self.rate_schedule,
            forget_sign=-(1 - self.alpha),
            retain_weight=self.alpha,
        )
