"""How answers on the whole corpus are made, measured, kept and compared, for each kind of model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from methods.base import Classifier, UnlearningProblem
from methods.engine.answers import CLASSES, TRANSCRIPTS, target_of
from methods.engine.rewind_objective import rewind_aim
from orchestrator.results.store import Store
from orchestrator.run.assignment import Assignment
from orchestrator.run.evaluation import measures as of_classes
from orchestrator.run.evaluation import transcripts as of_transcripts
from orchestrator.run.evaluation.curves import Curve
from orchestrator.run.evaluation.transcripts import Transcripts
from orchestrator.run.setup.checkpoints import load_logits, save_logits
from orchestrator.run.setup.feature_cache import FeatureReader
from orchestrator.run.setup.problem import TrialSplit, predict
from orchestrator.tasks.corpus import Corpus

Accuracies = dict[str, float]
"""`f` on D_f, `r` on D_r and `v` on D_v without forgotten classes; of a recognizer 1 − WER."""


class Evaluation(Protocol):
    """The evaluation of one kind of model; `answers` are those on the whole corpus."""

    def predict(
        self, model: Classifier, bank: FeatureReader, corpus: Corpus, device: torch.device, scratch: Path
    ) -> Any:
        """Return the answers, in eval mode."""

    def save(self, store: Store, trial_id: str, answers: Any, seconds_per_utterance: float) -> None:
        """Keep the answers of a model that other trials start from."""

    def load(self, store: Store, trial_id: str) -> Any:
        """Return answers that were kept.

        Raises:
            ParentLost: they are missing or unreadable.
        """

    def end_curve(self, curve: Curve, answers: Any, corpus: Corpus) -> None:
        """Add the evaluated model to a curve, and write it."""

    def measures(self, assignment: Assignment, corpus: Corpus, parts: TrialSplit, answers: Any) -> dict[str, Any]:
        """Return columns of the row."""

    def keep_outputs(self, store: Store, trial_id: str, corpus: Corpus, parts: TrialSplit, answers: Any) -> None:
        """Write what attacks read."""

    def accuracies(self, row: Mapping[str, Any]) -> Accuracies:
        """Return what objectives compare, from a row."""

    def rewind_target(self, problem: UnlearningProblem, store: Store, original: str, *, mislabeled: bool) -> Accuracies:
        """Return the accuracies that the objective `rewind` aims at."""


class _ClassEvaluation:
    """A classifier's answers are logits (N, C)."""

    def predict(
        self, model: Classifier, bank: FeatureReader, corpus: Corpus, device: torch.device, scratch: Path
    ) -> Tensor:
        return predict(model, bank, len(corpus), device, scratch)

    def save(self, store: Store, trial_id: str, answers: Tensor, seconds_per_utterance: float) -> None:
        save_logits(store, trial_id, answers, seconds_per_utterance)

    def load(self, store: Store, trial_id: str) -> Tensor:
        return load_logits(store, trial_id)[0]

    def end_curve(self, curve: Curve, answers: Tensor, corpus: Corpus) -> None:
        curve.end(answers)

    def measures(self, assignment: Assignment, corpus: Corpus, parts: TrialSplit, answers: Tensor) -> dict[str, Any]:
        return of_classes.measures(assignment, corpus, parts, answers)

    def keep_outputs(self, store: Store, trial_id: str, corpus: Corpus, parts: TrialSplit, answers: Tensor) -> None:
        of_classes.keep_outputs(store, trial_id, corpus, parts, answers)

    def accuracies(self, row: Mapping[str, Any]) -> Accuracies:
        parts = {"f": "forget_accuracy", "r": "retain_accuracy", "v": "validation_accuracy_kept_classes"}
        return {part: float(row[column]) for part, column in parts.items()}

    def rewind_target(self, problem: UnlearningProblem, store: Store, original: str, *, mislabeled: bool) -> Accuracies:
        return rewind_target(problem, load_logits(store, original)[0], mislabeled=mislabeled)


class _TranscriptEvaluation:
    """A recognizer's answers are a loss and a text for each utterance."""

    def predict(
        self, model: Classifier, bank: FeatureReader, corpus: Corpus, device: torch.device, scratch: Path
    ) -> Transcripts:
        return of_transcripts.transcribed(model, bank, corpus, device)

    def save(self, store: Store, trial_id: str, answers: Transcripts, seconds_per_utterance: float) -> None:
        of_transcripts.save(store, trial_id, answers, seconds_per_utterance)

    def load(self, store: Store, trial_id: str) -> Transcripts:
        return of_transcripts.load(store, trial_id)

    def end_curve(self, curve: Curve, answers: Transcripts, corpus: Corpus) -> None:
        rows = {name: utterances.utterances.numpy() for name, utterances in curve.sets.items()}
        curve.finish(of_transcripts.curve_point(rows, corpus, answers))

    def measures(
        self, assignment: Assignment, corpus: Corpus, parts: TrialSplit, answers: Transcripts
    ) -> dict[str, Any]:
        return of_transcripts.measures(assignment, corpus, parts, answers)

    def keep_outputs(
        self, store: Store, trial_id: str, corpus: Corpus, parts: TrialSplit, answers: Transcripts
    ) -> None:
        of_transcripts.keep_outputs(store, trial_id, corpus, parts, answers)

    def accuracies(self, row: Mapping[str, Any]) -> Accuracies:
        parts = {"f": "forget_wer", "r": "retain_wer", "v": "validation_wer"}
        return {part: 1 - float(row[column]) for part, column in parts.items()}

    def rewind_target(self, problem: UnlearningProblem, store: Store, original: str, *, mislabeled: bool) -> Accuracies:
        accuracy = self.accuracies(store.row(original) or {})["v"]
        return {"f": accuracy, "v": accuracy}


EVALUATIONS: Mapping[str, Evaluation] = {CLASSES: _ClassEvaluation(), TRANSCRIPTS: _TranscriptEvaluation()}


def evaluation_of(model: Classifier) -> Evaluation:
    """Return the evaluation of a model's kind."""
    return EVALUATIONS[target_of(model)]


def rewind_target(problem: UnlearningProblem, original_logits: Tensor, *, mislabeled: bool = False) -> Accuracies:
    """Return the target accuracies of a classifier, as `methods.engine.rewind_objective` has them."""
    said = original_logits[problem.validation.utterances].argmax(dim=-1)
    aim = rewind_aim(said == problem.validation.labels, problem, mislabeled=mislabeled)
    return {"f": aim.forget, "v": aim.validation}
