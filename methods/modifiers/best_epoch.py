"""Keep the epoch of a method that is best on D_f and D_v, instead of its last: choose by `rewind`, never by D_t.

Source: Kurmanji et al., NeurIPS 2023 (SCRUB+R) rewind to such an epoch; open-unlearning#187 requests it for every
method.
The model is scored after each epoch of each pass. These scores, and the original's answers on D_v that they are
compared with, are charged: the method's result rests on them. An epoch that the budget cuts off is neither scored nor
counted; where none was scored, the last weights are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, cast

import torch
from torch import Tensor, nn

from methods.base import UnlearningProblem
from methods.engine.answers import CLASSES, target_of
from methods.engine.rewind_objective import Aim, rewind_aim

RULES = ("rewind",)
ANSWERS_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class BestEpoch:
    """The settings of `best_epoch:` in a sweep."""

    rule: Literal["rewind"] = "rewind"  # by which epochs are compared

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"best_epoch.rule must be {' or '.join(RULES)}, got {self.rule!r}")


@dataclass
class BestWeights:
    """The weights of the best epoch so far: one copy of what may move, next to the model."""

    problem: UnlearningProblem
    mislabeled: bool = False  # D_f has wrong labels
    epochs: int = 0  # that ended, scored or not
    scored: int = 0
    best: tuple[float, int, str] | None = None  # distance, number of the epoch, name of its pass
    _aim: Aim | None = None
    _moving: dict[str, Tensor] = field(default_factory=dict)
    _kept: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.problem.validation):
            raise ValueError("best_epoch needs a D_v, on which epochs are compared; got none. Remove best_epoch")
        model = cast(nn.Module, self.problem.model)
        self._moving = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        self._moving |= {name: b for name, b in model.named_buffers() if b.is_floating_point()}
        if target_of(model) != CLASSES:
            self._aim = self._aim_of_start()

    def after_epoch(self, pass_name: str) -> None:
        """Score the model after a whole epoch, unless the budget is spent; copy its weights if no epoch was better."""
        self.epochs += 1
        problem = self.problem
        if problem.budget.spent:
            return
        with problem.budget.charging(), problem.autocast():
            self._aim = self._aim or self._read_aim()
            forget, validation = (
                problem.score(problem.model, utterances).accuracy for utterances in (problem.forget, problem.validation)
            )
        self.scored += 1
        distance = self._aim.distance(forget, validation)
        if self.best is None or distance < self.best[0]:
            self.best = distance, self.epochs, pass_name
            self._keep()

    def restore(self) -> None:
        """Put the best epoch's weights into the model, and note which it was."""
        if self.best is None:
            return
        with torch.no_grad():
            for name, value in self._moving.items():
                value.copy_(self._kept[name])
        _, number, pass_name = self.best
        note = f"best_epoch kept epoch {number} of {self.epochs} ({pass_name})"
        if self._aim and not self._aim.by_class:
            note += ", by the accuracy on all of D_v, which has no class of D_f"
        self.problem.notes.append(note)

    def _keep(self) -> None:
        if self._kept:
            for name, value in self._moving.items():
                self._kept[name].copy_(value)
        else:
            self._kept = {name: value.clone() for name, value in self._moving.items()}

    def _read_aim(self) -> Aim:
        """Return the aim, from the original's answers on D_v; they are charged once."""
        right = [
            self.problem.original_logits(batch).argmax(dim=1) == batch.labels
            for batch in self.problem.validation.batches(ANSWERS_BATCH)
        ]
        return rewind_aim(torch.cat(right).cpu(), self.problem, mislabeled=self.mislabeled)

    def _aim_of_start(self) -> Aim:
        """Return a recognizer's aim: D_f should be transcribed as well as the original transcribes D_v."""
        with self.problem.budget.charging(), self.problem.autocast():
            accuracy = self.problem.score(self.problem.model, self.problem.validation).accuracy
        return Aim(accuracy, accuracy)
