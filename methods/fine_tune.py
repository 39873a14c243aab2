"""Fine-tune: continue training on D_r alone (FT).

Source: Golatkar et al., CVPR 2020 (fine-tuning as a baseline); Warnecke et al., NDSS 2023; reference code
OPTML-Group/Unlearn-Sparse, `FT`: min_θ CE(D_r) from θ₀.
Differs: AdamW at a constant rate and 3 epochs in place of SGD, cosine steps and 10 epochs, which for a fine-tuned
network would cost as much as Retrain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from methods.base import Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.losses import cross_entropy
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule
from methods.engine.setting_rules import added_later


@dataclass(frozen=True, kw_only=True)
class FineTune(Method):
    """Cross-entropy on D_r from the original's weights; D_f is not used."""

    label: ClassVar[str] = "Fine-tune"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""
    search_space: ClassVar[SearchSpace] = {"rate_share": (0.005, 1.0), "epochs": [1, 2, 3]}

    learning_rate: Rate = "auto"
    rate_share: float = 0.5  # of the original's own rate, while learning_rate is auto
    epochs: int = 3  # over D_r
    batch_size: int = 32
    retain_share: float = added_later(1.0)  # of D_r, drawn anew each epoch
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass over D_r."""
        yield Pass(
            name="fine-tune",
            over=problem.retain.drawn_anew(self.retain_share),
            loss=cross_entropy,
            learning_rate=self.rate(problem),
            batch_size=self.batch_size,
            epochs=self.epochs,
            schedule=self.rate_schedule,
        )
