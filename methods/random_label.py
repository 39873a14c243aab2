"""RandLabel: fine-tune on D_f with random wrong labels and on D_r with its own labels.

Source: Golatkar et al., CVPR 2020; Graves et al. (Amnesiac), AAAI 2021; arXiv 2506.00848 §4.3: λ = 1.
Differs from the SalUn repository: a drawn label is never the true one, and D_f and D_r are shuffled together. A
recognizer gets the transcript of another utterance: drawn uniformly from D_r's distinct transcripts that have as many
tokens as the true one, or the closest number, so that length alone does not make it unlikely. With CTC, transcripts
that need more steps than the recording has are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from methods.base import Batch, Classifier, Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.answers import CLASSES, NO_TOKEN, TRANSCRIPTS, Recognizer, target_of
from methods.engine.losses import cross_entropy
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule, epoch_factor
from methods.engine.setting_rules import added_later
from methods.engine.transfer import sent

AT_ONCE = 64  # recordings that are read for their lengths


def wrong_labels(
    labels: Int[Tensor, " n"], num_classes: int, excluded: tuple[int, ...], generator: torch.Generator
) -> Int[Tensor, " n"]:
    """Draw a label for each, uniformly over all classes except its own and the `excluded` (forgotten) ones."""
    allowed = torch.ones(len(labels), num_classes)
    allowed[:, list(excluded)] = 0
    allowed[torch.arange(len(labels)), labels] = 0
    if bool((allowed.sum(dim=1) == 0).any()):
        raise ValueError(f"no wrong label is left: {num_classes} classes, of which {len(excluded)} are forgotten")
    return torch.multinomial(allowed, 1, generator=generator).squeeze(1)


Fit = Callable[[int, Tensor], Bool[Tensor, " m"]]
"""A place in a set, and transcripts (m, longest) -> which of them its recording can have."""


def all_fit(place: int, transcripts: Int[Tensor, "m longest"]) -> Bool[Tensor, " m"]:
    """Return that a recording can have any transcript."""
    return torch.ones(len(transcripts), dtype=torch.bool)


def other_transcripts(
    transcripts: Int[Tensor, "n longest"],
    pool: Int[Tensor, "m longest"],
    generator: torch.Generator,
    fit: Fit = all_fit,
) -> Int[Tensor, "n longest"]:
    """Draw another transcript of the pool for each, of the same number of tokens or of the closest number.

    Raises:
        ValueError: the pool has no other transcript, or none that fits a recording.
    """
    distinct = torch.unique(pool, dim=0)
    sizes = (distinct != NO_TOKEN).sum(dim=1)
    drawn = torch.empty_like(transcripts)
    for row, own in enumerate(transcripts):
        differs = (distinct != own).any(dim=1)
        if not bool(differs.any()):
            raise ValueError("no other transcript is left: all utterances of D_r have the same one")
        others = (differs & fit(row, distinct)).nonzero().flatten()
        if not len(others):
            raise ValueError(
                "no other transcript is left: a recording of D_f is too short for every other one of D_r; forget "
                "longer recordings, or use another method"
            )
        apart = (sizes[others] - (own != NO_TOKEN).sum()).abs()
        closest = others[apart == apart.min()]
        drawn[row] = distinct[closest[torch.randint(len(closest), (), generator=generator)]]
    return drawn


def wrong_targets(problem: UnlearningProblem, targets: Tensor) -> Tensor:
    """Draw wrong targets of the kind that the problem's model answers with."""
    return WRONG[target_of(problem.model)](problem, targets)


def _wrong_classes(problem: UnlearningProblem, labels: Tensor) -> Tensor:
    return wrong_labels(labels, problem.num_classes, problem.forgotten_classes, problem.generator)


def _wrong_transcripts(problem: UnlearningProblem, transcripts: Tensor) -> Tensor:
    model, lengths = cast(Recognizer, problem.model), _lengths_of_forget(problem)

    def fit(place: int, others: Tensor) -> Tensor:
        return model.fits(lengths[place].expand(len(others)), others)

    return other_transcripts(transcripts, problem.retain.labels, problem.generator, fit)


def _lengths_of_forget(problem: UnlearningProblem) -> Int[Tensor, " n"]:
    """Return the lengths of D_f's recordings, as batches have them, in ascending order of rows."""
    forget = problem.forget
    rows = forget.utterances[forget.utterances.argsort()]
    return torch.cat([forget.fetch(part)[1].cpu() for part in torch.split(rows, AT_ONCE)])


WRONG: dict[str, Callable[[UnlearningProblem, Tensor], Tensor]] = {
    CLASSES: _wrong_classes,
    TRANSCRIPTS: _wrong_transcripts,
}


def relabelled(problem: UnlearningProblem) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (rows of D_f ascending, their wrong labels) endlessly."""
    order = problem.forget.utterances.argsort()
    rows, labels = problem.forget.utterances[order], problem.forget.labels[order]
    while True:
        yield rows, wrong_targets(problem, labels)


def with_labels(batch: Batch, rows: Int[Tensor, " n"], labels: Int[Tensor, "n ..."]) -> Batch:
    """Return the batch with D_f's labels replaced; `rows` are ascending and contain all of D_f."""
    forget = batch.forget_on_host
    if not bool(forget.any()):
        return batch
    wrong = labels[torch.searchsorted(rows, batch.utterances[forget])]
    return replace(batch, labels=batch.labels.index_copy(0, batch.places(forget), sent(wrong, batch.labels.device)))


@dataclass(frozen=True, kw_only=True)
class RandomLabel(Method):
    """Fine-tuning on corrupted D_f and clean D_r."""

    label: ClassVar[str] = "RandLabel"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""
    search_space: ClassVar[SearchSpace] = {
        "rate_share": (0.005, 1.0),
        "retain_weight": (0.1, 10.0),
        "epochs": [1, 2, 3],
    }

    learning_rate: Rate = "auto"
    rate_share: float = 0.3  # of the original's own rate, while learning_rate is auto
    epochs: int = 1  # epochs over D_f ∪ D_r
    batch_size: int = 32
    retain_weight: float = 1.0  # λ
    redraw: bool = False  # new wrong labels each epoch (SalUn's way) or once (Amnesiac's)
    retain_share: float = added_later(1.0)  # of D_r, drawn anew each epoch
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass per epoch over the shuffled union."""
        retain = problem.retain.drawn_anew(self.retain_share)
        draws = relabelled(problem)
        rows, labels = next(draws)
        for epoch in range(self.epochs):
            if self.redraw and epoch:
                rows, labels = next(draws)

            def loss(model: Classifier, batch: Batch, rows: Tensor = rows, labels: Tensor = labels) -> Tensor:
                return cross_entropy(model, with_labels(batch, rows, labels))

            yield Pass(
                name=f"relabel {epoch + 1}",
                over=problem.forget + retain if self.retain_weight else problem.forget,
                loss=loss,
                learning_rate=self.rate(problem) * epoch_factor(self.rate_schedule, epoch, self.epochs),
                batch_size=self.batch_size,
                retain_weight=self.retain_weight,
            )
