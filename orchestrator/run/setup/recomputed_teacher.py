"""The model that is unlearned as a recognizer's teacher: its distributions are computed again, and charged each time.

Those of a classifier are stored once (`problem.Teacher`); a recognizer's, of each step of each utterance, would take
more room than the model.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from methods.base import Batch, Classifier
from methods.engine.answers import logits_of
from methods.engine.budget import BudgetMeter
from methods.engine.charged_passes import charge_passes
from methods.engine.warm_up import same_draws_again


class RecomputedTeacher:
    """A frozen copy, which is loaded at its first use."""

    def __init__(self, load: Callable[[], Classifier], budget: BudgetMeter) -> None:
        """Take `load`, which returns the model with its weights on the device of the batches."""
        self.load, self.budget = load, budget
        self.model: Classifier | None = None

    def __call__(self, batch: Batch) -> Tensor:
        """Return (B, S, V) logits in eval mode, without gradient."""
        if self.model is None:
            with self.budget.evaluating(), same_draws_again(batch.features.device):
                self.model = self.load()
            self.model.eval()
            for p in self.model.parameters():
                p.requires_grad_(False)
            charge_passes(self.model, self.budget)
        with torch.no_grad():
            return logits_of(self.model, batch)
