"""AMUN: fine-tune on the closest adversarial examples of D_f under the wrong labels that f gives them.

Source: Ebrahimpour-Boroojeny et al., ICML 2025 (arXiv 2503.00917), reference code Ali-E/AMUN: for each utterance of D_f
an adversarial example close to it, by gradient steps of normalized length within a radius that doubles until f's answer
changes; then fine-tuning on D_r, D_f with its own labels, and the examples with f's answers. `clean_forget: false`
leaves D_f itself out (`advonly` there), `retain_weight: 0` leaves D_r out.
Differs: searched in the space of stored features, in at most `steps` evaluations (there 50 per radius, without end):
steps double in length and are not projected, and what is left of the evaluations halves the distance between the last
point with the label and the first without; along the gradient of the margin to the best other class, which does not
vanish where f is sure. A forgotten class is never an answer. AdamW at a constant rate, not SGD with steps. Where no
answer changed, the last point has f's best other class as label, and the row's note counts these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from methods.base import Batch, Classifier, Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.losses import cross_entropy
from methods.engine.paired_batches import padded
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule
from methods.engine.setting_rules import added_later
from methods.engine.transfer import sent


@dataclass(frozen=True)
class Adversaries:
    """Adversarial examples of all of D_f, on the host."""

    utterances: Int[Tensor, " n"]  # ascending
    features: Float[Tensor, "n time ..."]
    lengths: Int[Tensor, " n"]
    labels: Int[Tensor, " n"]  # f's answers
    missed: int  # how many have an answer that f does not give

    def put(self, batch: Batch) -> Batch:
        """Return the batch with D_f's utterances replaced by their examples, cut or padded to the batch's length."""
        forget = batch.forget_on_host
        if not bool(forget.any()):
            return batch
        at, places = torch.searchsorted(self.utterances, batch.utterances[forget]), batch.places(forget)

        def replaced(old: Tensor, new: Tensor) -> Tensor:
            return old.index_copy(0, places, sent(new[at], old.device).to(old.dtype))

        time = batch.features.shape[1]
        return replace(
            batch,
            features=replaced(batch.features, padded(self.features[:, :time], time)),
            lengths=replaced(batch.lengths, self.lengths.clamp(max=time)),
            labels=replaced(batch.labels, self.labels),
        )


@dataclass(frozen=True, kw_only=True)
class Amun(Method):
    """A search over D_f, then epochs over D_f's examples, D_f and D_r."""

    label: ClassVar[str] = "AMUN"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = "its adversarial examples cross the border between two classes"
    search_space: ClassVar[SearchSpace] = {
        "rate_share": (0.005, 1.0),
        "clean_forget": [True, False],
        "epochs": [1, 2, 4],
    }

    learning_rate: Rate = "auto"
    rate_share: float = 0.3  # of the original's own rate, while learning_rate is auto
    epochs: int = 2
    batch_size: int = 32  # and utterances whose examples are searched at once
    retain_weight: float = 1.0  # λ; 0 leaves D_r out
    clean_forget: bool = True  # whether D_f with its own labels is trained on too
    steps: int = 10  # evaluations of f for each example, at most
    first_step: float = 0.002  # of the norm of an utterance's features; later steps double
    retain_share: float = added_later(1.0)  # of D_r, drawn anew each epoch
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.steps <= 10:
            raise ValueError(f"steps must be in 1 … 10, got {self.steps}")
        if self.first_step <= 0:
            raise ValueError(f"first_step must be above 0, got {self.first_step}")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Search the examples, which is charged, then yield one pass."""
        retain, found = problem.retain.drawn_anew(self.retain_share), self.adversaries(problem)
        if found.missed:
            problem.notes.append(
                f"AMUN found no adversarial example within {self.steps} steps for {found.missed} of "
                f"{len(problem.forget)} utterances of D_f"
            )

        def loss(model: Classifier, batch: Batch) -> Tensor:
            losses = cross_entropy(model, found.put(batch))
            if not self.clean_forget or not bool(batch.forget_on_host.any()):
                return losses
            clean = cross_entropy(model, batch.select(batch.forget_on_host))
            return losses.index_add(0, batch.places(batch.forget_on_host), clean)

        yield Pass(
            name="adversarial",
            over=problem.forget + retain if self.retain_weight else problem.forget,
            loss=loss,
            learning_rate=self.rate(problem),
            batch_size=self.batch_size,
            epochs=self.epochs,
            schedule=self.rate_schedule,
            retain_weight=self.retain_weight,
        )

    def adversaries(self, problem: UnlearningProblem) -> Adversaries:
        """Return the examples of D_f; charged as its forwards and backwards.

        Raises:
            BudgetSpent: when the budget is spent before the last step.
        """
        problem.model.eval()
        rows, features, lengths, labels, missed = [], [], [], [], 0
        for batch in problem.forget.batches(min(self.batch_size, problem.micro_batch or self.batch_size)):
            problem.warm_up(batch, backward=True)
            points, answers, searching = self.nearest(problem, batch)
            rows.append(batch.utterances)
            features.append(points.to(batch.features.dtype).cpu())
            lengths.append(batch.lengths.cpu())
            labels.append(answers.cpu())
            missed += searching
        time = max(part.shape[1] for part in features)
        order = torch.cat(rows).argsort()
        table = torch.cat([padded(part, time) for part in features])[order]
        return Adversaries(torch.cat(rows)[order], table, torch.cat(lengths)[order], torch.cat(labels)[order], missed)

    def nearest(
        self, problem: UnlearningProblem, batch: Batch
    ) -> tuple[Float[Tensor, "batch time ..."], Int[Tensor, " batch"], int]:
        """Return points near the batch's features, f's answers there, and how many of these still are the labels."""
        model, labels = problem.model, batch.labels
        start = batch.features.detach()
        start = start if start.dtype == torch.float64 else start.float()
        near, far, answers = start.clone(), start.clone(), labels.clone()
        searching, halving = (torch.full((len(batch),), value) for value in (True, False))  # on the host
        forgotten = torch.zeros(problem.num_classes, dtype=torch.bool)
        forgotten[list(problem.forgotten_classes)] = True
        classes = torch.arange(problem.num_classes, device=labels.device)
        own = classes == labels[:, None]
        barred = sent(forgotten, labels.device) | own

        def margins(points: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
            """Return how far the best allowed class is above the label, in logits, and which it is."""
            logits = model(points, batch.lengths[places])
            other = logits.masked_fill(barred[places], -torch.inf).argmax(dim=1)
            signs = (classes == other[:, None]).to(logits.dtype) - own[places].to(logits.dtype)
            return (logits * signs).sum(dim=1), other

        def outward(step: int) -> None:
            """Step on with those whose answer has not changed."""
            places = batch.places(searching)
            points = far[places].requires_grad_()
            above, answers[places] = margins(points, places)
            (slope,) = torch.autograd.grad(above.sum(), points)
            changed = (above > 0).cpu()
            halving[searching.clone()] |= changed & (step > 0)  # an utterance that f gets wrong stays as it is
            searching[searching.clone()] = ~changed
            going = sent((~changed).nonzero().flatten(), start.device)
            places, points, slope = places[going], points.detach()[going], slope[going]
            length = 2**step * self.first_step * start[places].flatten(1).norm(dim=1)
            length = length / slope.flatten(1).norm(dim=1).clamp(min=1e-12)
            near[places], far[places] = points, points + slope * _column(length, start)

        def inward(places: Tensor) -> None:
            """Halve the distance between the last point with the label and the first without."""
            middle = (near[places] + far[places]) / 2
            with torch.no_grad():
                above, other = margins(middle, places)
            over = _column(above > 0, start)
            far[places], near[places] = far[places].where(~over, middle), near[places].where(over, middle)
            answers[places] = answers[places].where(above <= 0, other)

        for step in range(self.steps):
            problem.budget.check()
            with problem.budget.charging(len(batch)), problem.autocast():
                found = batch.places(halving)
                if bool(searching.any()):
                    outward(step)
                if len(found):
                    inward(found)
        return far, answers, int(searching.sum())


def _column(values: Tensor, like: Tensor) -> Tensor:
    """Return (B,) values in the shape of features, to be multiplied with them."""
    return values.view(-1, *[1] * (like.ndim - 1))
