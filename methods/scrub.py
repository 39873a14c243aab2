"""SCRUB: alternate between moving away from the original on D_f and imitating it on D_r.

Source: Kurmanji et al., NeurIPS 2023: max step −KL_T(teacher‖student) on D_f; min step γ·CE + α·KL_T on D_r; an epoch
does the max step first, for the first `max_epochs` epochs, then always the min step.
The wording of arXiv 2506.00848 §4.3 is another: first all ascent, of the cross-entropy on D_f, then all descent, of
the cross-entropy on D_r and of the difference between its embeddings and the original's. It is `order: ascend_first`
with `ascend_on: cross_entropy` and `hold_to: embeddings`, which the preset `paper` sets. The
paper gives neither norm nor weight of that difference: here it is the mean square over the width, times α.
Differs: AdamW at a constant rate instead of SGD or Adam with steps; the teacher's logits come from the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from methods.base import Batch, Classifier, Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.answers import CLASSES, logits_of, target_loss
from methods.engine.losses import cross_entropy, distillation_loss, label_loss
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule, epoch_factor
from methods.engine.setting_rules import added_later
from methods.engine.transfer import sent

CHOICES = {
    "order": ("alternate", "ascend_first"),
    "ascend_on": ("divergence", "cross_entropy"),
    "hold_to": ("logits", "embeddings"),
}


def original_embeddings(problem: UnlearningProblem, batch_size: int) -> Callable[[Batch], Float[Tensor, "batch width"]]:
    """Return the current model's embeddings of D_r in eval mode, by utterance; charged as a forward over D_r."""
    problem.model.eval()
    rows, found = [], []
    for batch in problem.iterate(problem.retain, batch_size, backward=False):
        with torch.no_grad():
            found.append(problem.model.embed(batch.features, batch.lengths))
        rows.append(batch.utterances)
    order = torch.cat(rows).sort()
    table = torch.cat(found)[order.indices.to(found[0].device)]
    return lambda batch: table[sent(torch.searchsorted(order.values, batch.utterances), table.device)]


@dataclass(frozen=True, kw_only=True)
class Scrub(Method):
    """Alternating max and min passes, one optimizer for both."""

    label: ClassVar[str] = "SCRUB"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""
    search_space: ClassVar[SearchSpace] = {
        "rate_share": (0.01, 4.0),  # its max pass starts where the gradient is 0, and has few steps
        "retain_weight": (0.1, 10.0),
        "epochs": [1, 2, 3],
        "max_epochs": [1, 2, 3],
    }

    learning_rate: Rate = "auto"
    rate_share: float = 1.0  # of the original's own rate, while learning_rate is auto
    epochs: int = 3  # min passes over D_r
    max_epochs: int = 2  # max passes over D_f
    batch_size: int = 32  # of the min pass
    forget_batch_size: int = 32  # of the max pass
    temperature: float = 4.0  # of the distillation softmax
    ce_weight: float = 1.0  # γ
    kl_weight: float = 0.5  # α, of the KL on D_r, or of the difference of embeddings
    retain_weight: float = 1.0  # λ
    order: Literal["alternate", "ascend_first"] = "alternate"
    ascend_on: Literal["divergence", "cross_entropy"] = "divergence"  # what the max pass climbs
    hold_to: Literal["logits", "embeddings"] = "logits"  # of the original, in the min pass
    retain_share: float = added_later(1.0)  # of D_r, drawn anew each epoch
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in pass e of E of either kind

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is unknown: {getattr(self, name)!r}; choose {' or '.join(allowed)}")

    def reason_target_unsupported(self, target: str) -> str:
        """Return why it cannot hold on to a recognizer's embeddings, or an empty string."""
        if target == CLASSES or self.hold_to == "logits":
            return super().reason_target_unsupported(target)
        return "hold_to: embeddings reads the head's input, one vector per utterance; set hold_to: logits"

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield max passes over D_f and min passes over D_r in the chosen order, after computing f's embeddings."""
        embeddings = original_embeddings(problem, self.batch_size) if self.hold_to == "embeddings" else None

        def divergence(model: Classifier, batch: Batch) -> Tensor:
            student = logits_of(model, batch)
            return distillation_loss(problem.original_logits(batch), student, self.temperature)

        def hold(model: Classifier, batch: Batch) -> Tensor:
            if embeddings is not None:
                embedded = model.embed(batch.features, batch.lengths)
                apart = (embedded - embeddings(batch).to(embedded)).square().mean(dim=1)
                return self.ce_weight * label_loss(model.head(embedded), batch.labels) + self.kl_weight * apart
            student = logits_of(model, batch)
            task_loss = target_loss(model, student, batch.labels)
            kl = distillation_loss(problem.original_logits(batch), student, self.temperature)
            return self.ce_weight * task_loss + self.kl_weight * kl

        def ascend(epoch: int) -> Pass:
            return Pass(
                name=f"max {epoch + 1}",
                over=problem.forget,
                loss=divergence if self.ascend_on == "divergence" else cross_entropy,
                learning_rate=self.rate(problem) * epoch_factor(self.rate_schedule, epoch, self.max_epochs),
                batch_size=self.forget_batch_size,
                forget_sign=-1.0,
            )

        def descend(epoch: int) -> Pass:
            return Pass(
                name=f"min {epoch + 1}",
                over=problem.retain.drawn_anew(self.retain_share),
                loss=hold,
                learning_rate=self.rate(problem) * epoch_factor(self.rate_schedule, epoch, self.epochs),
                batch_size=self.batch_size,
                retain_weight=self.retain_weight,
            )

        if self.order == "ascend_first":
            yield from (ascend(epoch) for epoch in range(self.max_epochs))
            yield from (descend(epoch) for epoch in range(self.epochs))
            return
        for epoch in range(max(self.epochs, self.max_epochs)):
            if epoch < self.max_epochs:
                yield ascend(epoch)
            if epoch < self.epochs:
                yield descend(epoch)
