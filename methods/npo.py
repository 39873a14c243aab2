"""NPO: push the probability of D_f's labels below the original's, with decreasing force.

Source: Zhang et al., COLM 2024, arXiv 2404.05868: −(2/β)·log σ(−β·log(p_θ(y|x) / p_θ₀(y|x))) on D_f, with
CE on D_r in addition (NPO+RT); reference code locuslab/open-unlearning. Its gradient is GradAscent's times
2·p^β / (p^β + p₀^β), which is 1 at θ₀ and for β → 0.
Differs: for a classifier log p is that of one label, not of a sequence; for a recognizer it is the transcript's, per
character or token.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, zeros_like
from torch.nn import functional

from methods.base import Batch, Classifier, Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.answers import target_loss
from methods.engine.losses import cross_entropy
from methods.engine.paired_batches import Paired
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule
from methods.engine.setting_rules import added_later


def npo_loss(
    log_probability: Float[Tensor, " batch"], reference: Float[Tensor, " batch"], beta: float
) -> Float[Tensor, " batch"]:
    """Return (2/β)·log(1 + (p/p₀)^β) of each utterance, which is above 0."""
    return functional.softplus(beta * (log_probability - reference)) * (2 / beta)


@dataclass(frozen=True, kw_only=True)
class NegativePreference(Method):
    """Epochs over D_f; with `retain_weight` each batch also has as many utterances of D_r."""

    label: ClassVar[str] = "NPO"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""
    search_space: ClassVar[SearchSpace] = {
        "rate_share": (0.0005, 0.5),
        "beta": (0.03, 3.0),
        "retain_weight": (0.1, 10.0),
        "epochs": [5, 10, 20],
    }

    learning_rate: Rate = "auto"
    rate_share: float = 0.1  # of the original's own rate, while learning_rate is auto
    epochs: int = 10  # epochs over D_f
    batch_size: int = 32  # half of D_f, half of D_r; all of D_f when retain_weight is 0
    retain_weight: float = 1.0  # λ
    beta: float = 0.1  # β: larger stops sooner, 0 would be gradient ascent
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta <= 0:
            raise ValueError(f"beta must be above 0, got {self.beta}")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass over D_f."""

        def loss(model: Classifier, batch: Batch) -> Tensor:
            task_loss = cross_entropy(model, batch)
            if not bool(batch.forget_on_host.any()):  # a micro-batch of D_r alone
                return task_loss
            forget = batch.select(batch.forget_on_host)
            known = -target_loss(model, problem.original_logits(forget), forget.labels).to(task_loss.dtype)
            reference = zeros_like(task_loss).index_copy(0, batch.places(batch.forget_on_host), known)
            return npo_loss(-task_loss, reference, self.beta).where(batch.is_forget, task_loss)

        yield Pass(
            name="push down",
            over=Paired(problem.forget, problem.retain) if self.retain_weight else problem.forget,
            loss=loss,
            learning_rate=self.rate(problem),
            batch_size=self.batch_size,
            epochs=self.epochs,
            schedule=self.rate_schedule,
            retain_weight=self.retain_weight,
        )
