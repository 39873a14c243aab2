"""From a model, its recordings and a request to an `UnlearningProblem`: what a method may use, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backbones.base import SpeechClassifier
from backbones.opened import Opened
from methods.base import Batch, Classifier, Training, UnlearningProblem, UtteranceSet
from methods.engine.answers import CLASSES
from methods.engine.budget import BudgetMeter
from methods.engine.loop import Diverged, LoopSettings, Outcome, run_method
from methods.retrain import Retrain
from orchestrator import plugins
from orchestrator.forget.kinds import KINDS, NORMALIZER, Kind
from orchestrator.forget.recordings import Recordings
from orchestrator.forget.request import Resolved
from orchestrator.forget.speech import Speech
from orchestrator.run.setup.context import seed_everything
from orchestrator.run.setup.recomputed_teacher import RecomputedTeacher
from orchestrator.run.setup.scoring import WordScore, score
from orchestrator.tasks.normalizers import normalizer_of

STAND_IN = "whisper_nano"  # a pretrained encoder that was trained on none of the user's recordings
MICRO_BATCH = 32
JUDGED = ("test", "holdout")  # splits on which nothing was chosen


@dataclass(frozen=True, kw_only=True)
class Case:
    """One request on one model: everything that the steps of a removal share."""

    opened: Opened
    recordings: Recordings
    resolved: Resolved
    speech: Speech
    original: SpeechClassifier
    original_logits: npt.NDArray[np.float64]  # (N, C) of the whole manifest; (N, 3) of a recognizer, see `kinds`
    training: Training
    seed: int = 0
    base: Path | None = None  # folder of the pretrained encoder, which Retrain starts from
    forgotten_before: npt.NDArray[np.int64]  # rows that earlier requests removed: in neither D_f nor D_r

    @property
    def forget(self) -> npt.NDArray[np.int64]:
        """Rows of D_f, duplicates included."""
        return self.resolved.everything

    @property
    def retain(self) -> npt.NDArray[np.int64]:
        """Rows of D_r."""
        return np.setdiff1d(self.recordings.rows("train"), np.union1d(self.forget, self.forgotten_before))

    def unheard(self, *splits: str) -> npt.NDArray[np.int64]:
        """Return rows of splits that were kept from training, without those whose audio was trained on all the same."""
        return np.setdiff1d(self.recordings.rows(*splits), self.resolved.leaked)

    @property
    def kind(self) -> Kind:
        """How the model's answers are read."""
        return KINDS[self.opened.target]

    @property
    def groups(self) -> npt.NDArray[np.int64]:
        """(N,) classes, or kinds of transcripts: only recordings of one group are compared.

        Planted secrets are compared with planted secrets that were kept from training, and those that say what the
        request names with others that do.
        """
        groups, canaries = self.recordings.labels, self.recordings.canaries
        if canaries is not None:
            groups = groups + (canaries != "")
        return groups if self.resolved.alike is None else groups + 2 * self.resolved.alike

    @property
    def schedule_samples(self) -> float:
        """The samples that Retrain's full schedule processes, of which limits are shares."""
        return float(self.training.epochs * len(self.retain))

    def has_encoder(self) -> bool:
        """Whether there is an encoder that was not trained on D_f, which some methods learn from."""
        stands_in = self.opened.target == CLASSES and self.opened.is_whisper and self.speech.features.shape[-1] == 80
        return self.base is not None or stands_in

    def problem(
        self, limit_samples: float | None, *, same_network: bool = False, forget: npt.NDArray[np.int64] | None = None
    ) -> UnlearningProblem:
        """Return a problem with a private copy of the original.

        Args:
            limit_samples: after which a method ends; None for no limit.
            same_network: whether `fresh_model` must be the same architecture, from `base`.
            forget: rows of D_f, which an earlier request may have removed; those of this request by default.
        """
        labels, kept = self.recordings.labels, self.unheard("validation")
        targets = torch.from_numpy(labels) if self.speech.targets is None else self.speech.targets
        gone = () if self.resolved.forgotten_class is None else (self.resolved.forgotten_class,)
        kept = kept[~np.isin(labels[kept], gone)]
        seed_everything(self.seed)

        def utterances(rows: npt.NDArray[np.int64], *, forget: bool = False) -> UtteranceSet:
            return UtteranceSet(
                utterances=torch.from_numpy(rows),
                labels=targets[torch.from_numpy(rows)],
                is_forget=torch.full((len(rows),), forget),
                fetch=self.speech.fetch,
            )

        def build(weights: Literal["pretrained", "random"]) -> Classifier:
            if weights == "pretrained" and self.base is None and not same_network:
                stand_in: Classifier = plugins.load("backbones", STAND_IN).build(len(self.opened.classes))
                return stand_in
            if weights == "pretrained" and self.base is not None:
                return self.opened.load(self.base)
            return _random(self.original)

        budget = BudgetMeter(limit=limit_samples, unit="samples")
        return UnlearningProblem(
            model=copy.deepcopy(self.original),
            forget=utterances(self.forget if forget is None else forget, forget=True),
            retain=utterances(self.retain),
            validation=utterances(kept),
            num_classes=_outputs_of(self.original),
            forgotten_classes=gone,
            training=self.training,
            budget=budget,
            generator=torch.Generator().manual_seed(self.seed),
            build_model=build,
            teacher_logits=self._teacher(budget),
            score=score if self.speech.targets is None else WordScore(self.speech.texts, normalizer_of(NORMALIZER)),
            micro_batch=MICRO_BATCH,
        )

    def _teacher(self, budget: BudgetMeter) -> Callable[[Batch], Tensor]:
        if self.opened.target != CLASSES:
            return RecomputedTeacher(lambda: copy.deepcopy(self.original), budget)
        logits = torch.from_numpy(self.original_logits).float()
        return lambda batch: logits[batch.utterances]


def require_unheard(resolved: Resolved, recordings: Recordings) -> None:
    """Check that there is unheard speech to choose on, of classes that stay, and to judge on.

    Raises:
        ValueError: there is none.
    """
    for what, splits in (("to choose on", ("validation",)), ("to judge on", JUDGED)):
        rows = np.setdiff1d(recordings.rows(*splits), resolved.leaked)
        if what == "to choose on" and resolved.forgotten_class is not None:
            rows = rows[recordings.labels[rows] != resolved.forgotten_class]
        if not len(rows):
            raise ValueError(
                f"{recordings.manifest.name} leaves no recording {what} (split {' or '.join(splits)}) that the model "
                "was not trained on: those whose audio is in training too do not count, nor does a class that is "
                "forgotten, to choose. Keep more from training"
            )


def retrained(case: Case, beat: Callable[[str], None]) -> Classifier:
    """Train a model without D_f, from the pretrained encoder, with the settings of the original; no limit.

    Raises:
        ValueError: training diverged.
    """
    problem, outcome = case.problem(None, same_network=True), Outcome()
    try:
        for progress in run_method(Retrain(), problem, settings=LoopSettings(micro_batch=MICRO_BATCH), outcome=outcome):
            beat(f"Retrain: epoch {progress.epoch + 1} of {progress.epochs}")
    except Diverged:
        raise ValueError("The model for --with-retrain diverged in training. Check --learning-rate") from None
    return problem.model


def _outputs_of(model: SpeechClassifier) -> int:
    """Return C, or the outputs of a recognizer's step."""
    weight = model.head.weight
    assert isinstance(weight, Tensor)
    return len(weight)


def _random(model: SpeechClassifier) -> SpeechClassifier:
    """Return the same network with random weights."""
    made = copy.deepcopy(model)
    for parameter in made.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.02)
        elif parameter.ndim:
            torch.nn.init.zeros_(parameter)
    for module in made.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.reset_parameters()
    return made
