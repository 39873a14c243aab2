"""From a recipe to an `UnlearningProblem`: the sets, the models, the teacher and the budget that a method may use."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from methods.base import Batch, Classifier, Training, UnlearningProblem, UtteranceSet
from methods.engine.answers import CLASSES, TRANSCRIPTS, target_of
from methods.engine.budget import BudgetMeter
from methods.engine.transfer import sent
from orchestrator.forgetting.attributes import Attribute
from orchestrator.plan.originals import training_kind_of
from orchestrator.plan.spec import TrialSpec, stage_seed
from orchestrator.run.guards.out_of_memory import in_halves
from orchestrator.run.setup.checkpoints import load_artifacts, load_logits, load_weights
from orchestrator.run.setup.context import WorkerContext, device_name, seed_everything
from orchestrator.run.setup.feature_cache import FeatureReader
from orchestrator.run.setup.reach import Reach
from orchestrator.run.setup.recomputed_teacher import RecomputedTeacher
from orchestrator.run.setup.scoring import EVALUATION_BATCH, targets_of
from orchestrator.tasks.corpus import Corpus
from orchestrator.tasks.poison import TRIGGERED


@dataclass(frozen=True)
class TrialSplit:
    """Rows of the corpus by their role in one trial, ascending."""

    forget: npt.NDArray[np.int64]
    retain: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]
    holdout: npt.NDArray[np.int64]
    before: npt.NDArray[np.int64]  # forgotten by earlier requests of a sequence: in neither D_f nor D_r
    request_classes: tuple[int, ...]  # that this trial's request forgets
    forgotten_classes: tuple[int, ...]  # these and those of earlier requests
    forget_ratio: float  # actual share of D
    triggered: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.empty(0, dtype=np.int64)
    )  # of a poisoned corpus
    attribute: Attribute | None = None  # that this trial's request forgets

    @property
    def num_train(self) -> int:
        """|D|."""
        return len(self.forget) + len(self.retain) + len(self.before)


def split_corpus(context: WorkerContext, spec: TrialSpec, corpus: Corpus) -> TrialSplit:
    """Return D_f and D_r of this trial, and the corpus's other splits. D_r is D without all that was ever forgotten."""
    sets, nothing = context.forget_sets(spec), np.empty(0, dtype=np.int64)
    train = corpus.rows("train")
    rows = sets[-1].rows if sets else nothing
    before = np.sort(np.concatenate([nothing, *(earlier.rows for earlier in sets[:-1])]))
    return TrialSplit(
        forget=rows,
        retain=np.setdiff1d(train, np.union1d(rows, before)),
        validation=corpus.rows("validation"),
        test=corpus.rows("test"),
        holdout=corpus.rows("holdout"),
        before=before,
        request_classes=sets[-1].forgotten_classes if sets else (),
        forgotten_classes=tuple(sorted({label for found in sets for label in found.forgotten_classes})),
        forget_ratio=len(rows) / len(train),
        triggered=corpus.rows(TRIGGERED),
        attribute=sets[-1].attribute if sets else None,
    )


def budget_meter(
    spec: TrialSpec, parts: TrialSplit, training: Training, context: WorkerContext
) -> tuple[BudgetMeter, str]:
    """Return the trial's budget, and the source of its limit.

    `samples`: a share of the utterances that Retrain's full schedule processes. `seconds` (arXiv 2506.00848 §5.2): a
    share of the seconds charged to Retrain, or if the sweep has no Retrain, of the original's × |D_r| / |D|.

    Raises:
        FileNotFoundError: the row of Retrain or of the original is not in the results folder.
    """
    synchronize = torch.cuda.synchronize if context.device.type == "cuda" else (lambda: None)
    if spec.budget is None:
        return BudgetMeter(synchronize=synchronize), "none"
    fraction, unit = float(spec.budget["fraction"]), spec.budget["unit"]
    if unit == "samples":
        limit = fraction * training_kind_of(spec).schedule_samples(training, len(parts.retain))
        return BudgetMeter(limit=limit, unit="samples", synchronize=synchronize), "retrain schedule"
    role = "retrain" if "retrain" in spec.parents else "original"
    row = context.store.row(spec.parents[role])
    if row is None:
        raise FileNotFoundError(
            f"the row of {role} {spec.parents[role]} is not in the results folder; run that trial first"
        )
    share = 1.0 if role == "retrain" else len(parts.retain) / parts.num_train
    source = f"{role} seconds" if row["device"] == device_name(context.device) else f"{role} seconds on {row['device']}"
    return BudgetMeter(
        limit=fraction * share * row["optimization_seconds"], unit="seconds", synchronize=synchronize
    ), source


def make_problem(
    spec: TrialSpec,
    context: WorkerContext,
    corpus: Corpus,
    bank: FeatureReader,
    parts: TrialSplit,
    training: Training,
    budget: BudgetMeter,
    micro_batch: int | None = None,
) -> UnlearningProblem:
    """Return all that the method of this trial may use.

    Raises:
        ValueError: `training.length_buckets` with a backbone that does not mask padding.
    """
    num_classes = len(corpus.classes)
    kept = ~np.isin(corpus.labels[parts.validation], parts.forgotten_classes)
    reach = Reach(len(corpus), [parts.forget, parts.retain, parts.validation[kept]], budget)

    def utterances(rows: npt.NDArray[np.int64], *, forget: bool = False, steps: bool = True) -> UtteranceSet:
        return UtteranceSet(
            utterances=torch.from_numpy(rows),
            labels=targets.of(rows),
            is_forget=torch.full((len(rows),), forget),
            fetch=reach.guarded(bank.train if steps else bank.evaluate),
            device=context.device,
            durations=torch.from_numpy(corpus.num_samples[rows]) if training.length_buckets else None,
            prefetch=context.device.type == "cuda" and not bank.on_device,
            random_crops=steps and bank.random,
        )

    def build(weights: Literal["pretrained", "random"]) -> Classifier:
        return context.model(spec, num_classes, pretrained=weights == "pretrained")

    model = context.model(spec, num_classes)
    if training.length_buckets and not getattr(model, "masks_padding", False):
        raise ValueError(
            f"training.length_buckets needs a backbone whose logits do not depend on padding: got "
            f"{spec.backbone.title}; use a backbone that masks padding (logmel, wav2vec 2.0 and HuBERT from large on), "
            "or set length_buckets to false"
        )
    targets = targets_of(corpus, model)
    if spec.starts_from:
        model.load_state_dict(load_weights(context.store, spec.starts_from))
    step = [len(spec.before) + 1] if spec.before and spec.policy.unlearns else []  # a first request's seed has none
    seed = stage_seed("unlearning", spec.task.title, spec.backbone.title, spec.seed, *step)
    seed_everything(seed)  # dropout and SpecAugment during the steps
    return UnlearningProblem(
        model=model,
        forget=utterances(parts.forget, forget=True),
        retain=utterances(parts.retain),
        validation=utterances(parts.validation[kept], steps=False),
        num_classes=targets.num_outputs,
        forgotten_classes=parts.forgotten_classes,
        training=training,
        budget=budget,
        generator=torch.Generator().manual_seed(seed),
        build_model=build,
        teacher_logits=reach.guarded_teacher(TEACHERS[target_of(model)](spec, context, budget, num_classes)),
        score=targets.score,
        micro_batch=micro_batch,
        artifacts_to_store={} if spec.policy.keeps_model else None,
        original_artifacts=_prepared(spec, context),
    )


def _prepared(spec: TrialSpec, context: WorkerContext) -> Mapping[str, Tensor] | None:
    """Return what the original's training kept, if the method reads it."""
    if "original" not in spec.parents or not spec.method.instance.requires_training:
        return None
    return load_artifacts(context.store, spec.parents["original"])


def _stored(spec: TrialSpec, context: WorkerContext, budget: BudgetMeter, num_classes: int) -> Teacher:
    return Teacher(lambda: load_logits(context.store, str(spec.starts_from)), budget)


def _recomputed(spec: TrialSpec, context: WorkerContext, budget: BudgetMeter, num_classes: int) -> RecomputedTeacher:
    def load() -> Classifier:
        model = context.model(spec, num_classes)
        model.load_state_dict(load_weights(context.store, str(spec.starts_from)))
        return model

    return RecomputedTeacher(load, budget)


TEACHERS: Mapping[str, Callable[..., Callable[[Batch], Tensor]]] = {CLASSES: _stored, TRANSCRIPTS: _recomputed}


class Teacher:
    """Stored logits of the model that is unlearned; the first use of an utterance is charged what its logits cost."""

    def __init__(self, load: Callable[[], tuple[Tensor, float]], budget: BudgetMeter) -> None:
        """Take `load`, which reads the logits of the whole corpus and their seconds per utterance."""
        self.load, self.budget = load, budget
        self.logits: Tensor | None = None
        self.seconds = 0.0
        self.paid: Any = None

    def __call__(self, batch: Batch) -> Tensor:
        """Return (B, C) logits on the batch's device."""
        if self.logits is None:
            with self.budget.evaluating():  # reading a file is I/O: timed apart, not charged
                self.logits, self.seconds = self.load()
                self.paid = torch.zeros(len(self.logits), dtype=torch.bool)
        fresh = int((~self.paid[batch.utterances]).sum())
        self.paid[batch.utterances] = True
        self.budget.charge(seconds=fresh * self.seconds, forwards=fresh)
        return sent(self.logits[batch.utterances], batch.features.device)


def predict(model: Classifier, bank: FeatureReader, rows: int, device: torch.device, scratch: Path) -> Tensor:
    """Return (N, C) float32 logits of the whole corpus in row order, in eval mode, mapped from an unnamed file."""
    model.eval()
    scratch.mkdir(parents=True, exist_ok=True)
    # Written first, then mapped: a full disk raises an error instead of a signal that ends the process.
    with tempfile.NamedTemporaryFile(dir=scratch, prefix=".logits-") as file:

        def write(batch_size: int) -> int:
            file.seek(0)
            classes = 0
            with torch.no_grad():
                for chunk in torch.split(torch.arange(rows), batch_size):
                    logits = model(*(t.to(device) for t in bank.evaluate(chunk))).float().cpu()
                    file.write(logits.contiguous().numpy().data)
                    classes = logits.shape[1]
            file.flush()
            return classes

        classes = in_halves(write, EVALUATION_BATCH[device.type])
        return torch.from_file(file.name, shared=False, size=rows * classes, dtype=torch.float32).view(rows, classes)
