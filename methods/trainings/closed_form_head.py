"""Closed-form head: fit a ridge regression on random features of the frozen pretrained encoder.

Source: Cao and Yang, IEEE S&P 2015 (summation form: what D_f added to the sums can be subtracted); Zhuang et al., ACIL,
NeurIPS 2022 (ridge heads on frozen encoders and random features, kept as sums). The math:
`methods.closed_form.ridge`.
Differs: features are standardized by mean and variance that are functions of the sums, and the regularization and a
temperature are chosen on D_v, so that a head without D_f is Retrain's up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from methods.base import Classifier, Pass, Training, TrainingRecipe, UnlearningProblem
from methods.closed_form.random_features import RandomFeatures
from methods.closed_form.ridge import RidgeSums, set_head
from methods.engine.budget import FORWARD_SHARE


@dataclass(frozen=True, kw_only=True)
class ClosedFormHead(TrainingRecipe):
    """One forward over D and one solution; the sums are kept. Rates, epochs and batch sizes have no effect."""

    label: ClassVar[str] = "closed-form head"
    version: ClassVar[int] = 1

    features: int = 1024  # random ReLU features that the head reads; 0: the embedding itself

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features < 0:
            raise ValueError(f"features must be 0 or more, got {self.features}")

    @property
    def changes_classifier(self) -> bool:
        """Whether random features are between encoder and head."""
        return self.features > 0

    def classifier(self, model: Classifier, num_classes: int) -> Classifier:
        """Return the encoder with random features, or unchanged without any."""
        return RandomFeatures(model, self.features, num_classes) if self.features else model

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Run no pass: sum over D_r once and solve."""
        problem.model.load_state_dict(problem.fresh_model().state_dict())
        sums = RidgeSums.over(problem, problem.retain)
        set_head(problem, sums, charged=False)
        if problem.artifacts_to_store is not None:
            with problem.budget.preparing():
                problem.artifacts_to_store.update(sums.tensors())
        return iter(())

    def schedule_samples(self, training: Training, utterances: float) -> float:
        """Return the samples of a forward over each utterance."""
        return FORWARD_SHARE * utterances
