"""`torch.compile` with static shapes: full batches run compiled, every other size eagerly, so nothing is dropped."""

from __future__ import annotations

from typing import Any, cast

import torch

from methods.base import Batch, Classifier
from methods.engine.budget import BudgetMeter
from methods.engine.charged_passes import charge_compiled_passes


class CompiledModel:
    """A model and its compiled form; both have the same weights."""

    def __init__(self, model: Classifier, budget: BudgetMeter, backend: str = "inductor") -> None:
        """Compile the model; forwards and backwards of both forms are charged to the budget."""
        self.eager = model
        self.compiled = cast(Classifier, torch.compile(cast(Any, model), dynamic=False, backend=backend))
        charge_compiled_passes(self.compiled, model, budget)
        self._met: set[tuple[Any, ...]] = set()

    def for_part(self, part: Batch, full_size: int) -> Classifier:
        """Return the form that runs a part: compiled if it has `full_size` utterances, else eager."""
        return self.compiled if len(part) == full_size else self.eager

    def is_new(self, part: Batch) -> bool:
        """Return whether a step on this part compiles first: once per shape and choice of trained weights."""
        moving = tuple(p.requires_grad for p in self.eager.parameters())
        case = (part.features.shape, part.features.dtype, moving)
        if case in self._met:
            return False
        self._met.add(case)
        return True
