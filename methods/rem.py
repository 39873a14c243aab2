"""REM: erase D_f from the model, then retrain on everything with extra neurons that take D_f in and are dropped.

Source: Schoepf et al., Redirection for Erasing Memory, ICLR 2026 (arXiv 2505.17730; code google-deepmind/rem, not
read), for wrong labels of which only a part may be known. (1) New neurons are added. (2) NPO on D_f alone, until the
accuracy on D_f is below γ: without D_r, which may contain undiscovered wrong labels. (3) Training on D_f and D_r with
the labels that they have: D_f's utterances share one mask of the new neurons, others have a random one each, so that
corrupted data is redirected to the shared ones; meanwhile NPO keeps the model without the new neurons away from D_f's
labels. (4) The new neurons are dropped.
Differs: they are one layer that reads what the head reads and adds to its logits, not further channels of each
convolution, so that any network can have them. Step 3 is cross-entropy, which the paper writes as a preference too. γ,
the shares and the weights are this project's. Steps 1 to 4 are from summaries of the paper.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from methods.base import Batch, Classifier, Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.losses import label_loss
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule
from methods.engine.setting_rules import added_later
from methods.engine.transfer import sent
from methods.lotus import charged_accuracy
from methods.npo import npo_loss


class Sink(nn.Module):
    """The new neurons: a hidden layer on an utterance's vector, masked by utterance, whose output adds to logits."""

    def __init__(self, head: nn.Linear, neurons: int, generator: torch.Generator) -> None:
        """Draw the weights as PyTorch draws those of linear layers, from `generator`."""
        super().__init__()
        self.first = nn.Parameter(_drawn(neurons, head.in_features, head.weight, generator))
        self.second = nn.Parameter(_drawn(head.out_features, neurons, head.weight, generator))

    def forward(
        self, vectors: Float[Tensor, "batch width"], mask: Bool[Tensor, "batch neurons"]
    ) -> Float[Tensor, "batch classes"]:
        """Return what the neurons that the mask leaves add to the logits."""
        added: Tensor = functional.linear(functional.relu(functional.linear(vectors, self.first)) * mask, self.second)
        return added


def _drawn(outputs: int, inputs: int, like: Tensor, generator: torch.Generator) -> Tensor:
    weights: Tensor = (torch.rand(outputs, inputs, generator=generator) * 2 - 1).to(like) / inputs**0.5
    return weights


@dataclass(frozen=True)
class Masks:
    """Which of the new neurons each utterance uses, on the host: those of D_f all the same."""

    utterances: Int[Tensor, " n"]  # of D_r, ascending
    own: Bool[Tensor, "n neurons"]
    shared: Bool[Tensor, " neurons"]

    @classmethod
    def drawn(cls, problem: UnlearningProblem, neurons: int, share: float) -> Masks:
        """Draw a mask for D_f and one for each utterance of D_r."""
        rows = problem.retain.utterances.sort().values
        masks = torch.empty(1 + len(rows), neurons, dtype=torch.bool).bernoulli_(share, generator=problem.generator)
        return cls(rows, masks[1:], masks[0])

    def of(self, batch: Batch) -> Bool[Tensor, "batch neurons"]:
        """Return the masks of a batch, on its device."""
        masks = self.shared.repeat(len(batch), 1)
        retain = ~batch.forget_on_host
        masks[retain] = self.own[torch.searchsorted(self.utterances, batch.utterances[retain])]
        return sent(masks, batch.features.device)


@dataclass(frozen=True, kw_only=True)
class Rem(Method):
    """Epochs of NPO over D_f, then epochs over D with the new neurons."""

    label: ClassVar[str] = "REM"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = "its head reads one vector per utterance, but a recognizer's reads each step"
    search_space: ClassVar[SearchSpace] = {
        "rate_share": (0.005, 1.0),
        "repair_rate_share": (0.005, 1.0),
        "removal_weight": (0.1, 10.0),
        "epochs": [1, 2, 3],
    }

    learning_rate: Rate = "auto"  # of NPO on D_f
    rate_share: float = 0.3  # of the original's own rate, while learning_rate is auto
    repair_learning_rate: Rate = "auto"  # of the epochs over D
    repair_rate_share: float = 0.3  # likewise
    removal_epochs: int = 10  # epochs of NPO over D_f, at most
    accuracy_below: float = 0.1  # γ, on D_f, 0-1: NPO ends
    beta: float = 0.1  # β of NPO
    epochs: int = 2  # epochs over D
    batch_size: int = 32
    neurons: int = 256  # new ones
    mask_share: float = 0.2  # of the new neurons that an utterance uses
    removal_weight: float = 1.0  # of NPO in the epochs over D
    retain_weight: float = 1.0  # λ
    retain_share: float = added_later(1.0)  # of D_r, drawn anew in each epoch over D
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E over D

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.removal_epochs < 0:
            raise ValueError(f"removal_epochs must be 0 or more, got {self.removal_epochs}")
        if self.beta <= 0:
            raise ValueError(f"beta must be above 0, got {self.beta}")
        if self.neurons < 1:
            raise ValueError(f"neurons must be 1 or more, got {self.neurons}")
        for name in ("accuracy_below", "mask_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in (0, 1], got {getattr(self, name)}")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield passes over D_f until f's answers there are gone, then one pass over D."""

        def away(logits: Tensor, batch: Batch) -> Tensor:
            known = -label_loss(problem.original_logits(batch), batch.labels).to(logits.dtype)
            return npo_loss(-label_loss(logits, batch.labels), known, self.beta)

        def remove(model: Classifier, batch: Batch) -> Tensor:
            return away(model(batch.features, batch.lengths), batch)

        for epoch in range(self.removal_epochs):
            if charged_accuracy(problem, problem.forget, self.batch_size) < self.accuracy_below:
                break
            yield Pass(
                name=f"remove {epoch + 1}",
                over=problem.forget,
                loss=remove,
                learning_rate=self.rate(problem),
                batch_size=self.batch_size,
            )
        sink = Sink(cast(nn.Linear, problem.model.head), self.neurons, problem.generator)
        masks = Masks.drawn(problem, self.neurons, self.mask_share)

        def redirect(model: Classifier, batch: Batch) -> Tensor:
            vectors = model.embed(batch.features, batch.lengths)
            logits = model.head(vectors)
            losses = label_loss(logits + sink(vectors, masks.of(batch)), batch.labels)
            places = batch.places(batch.forget_on_host)
            if not len(places):
                return losses
            pushed = away(logits[places], batch.select(batch.forget_on_host))
            return losses.index_add(0, places, self.removal_weight * pushed.to(losses.dtype))

        yield Pass(
            name="redirect",
            over=problem.forget + problem.retain.drawn_anew(self.retain_share),
            loss=redirect,
            learning_rate=self.rate(problem, "repair_learning_rate"),
            batch_size=self.batch_size,
            epochs=self.epochs,
            schedule=self.rate_schedule,
            retain_weight=self.retain_weight,
            parameters=[*problem.model.parameters(), *sink.parameters()],
            optimizer="fresh",
        )
