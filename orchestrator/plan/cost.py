"""How long a grid takes and what it stores: measured where the results folder has rows, estimated everywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from methods.base import Training
from orchestrator.plan.duration import in_words, size_in_words
from orchestrator.plan.originals import training_kind_of
from orchestrator.plan.spec import PlugIn, TrialSpec
from orchestrator.tasks.base import CorpusSize

if TYPE_CHECKING:
    import pandas as pd

# Measured on two cores of an AMD EPYC; docs/results/bench.md has the figures.
START_SECONDS = 10.0  # from the command to the first trial, and from the last row to the prompt, under Ray
TRIAL_SECONDS = 0.9  # of a trial besides its passes: opening what it needs, attacks, its row
UTTERANCE_SECONDS = 0.005  # to synthesize or read one recording of a corpus that is not in the cache
FORWARD_SHARE = 1 / 3  # of a training step; computing a clip's features costs about as much
TRAIN_SHARE = 0.7  # of a corpus: the rest is D_v, D_t and the holdout
GPU_GFLOPS = 60_000.0  # a data-center GPU in bf16 at a fifth of its peak: a guess
POSITIONS_PER_SECOND = 50  # of the encoders here: turns operations into weights

Kind = tuple[str, ...]
"""Trials that take about as long: stage, task, backbone, training, method."""


@dataclass(frozen=True)
class Estimate:
    """Cost of the trials that have no row yet."""

    trials: int
    seconds: float  # from the command to the end of the last trial, on `cores` cores
    cores: int
    gpu_seconds: float  # the same work on one GPU; a guess
    storage_bytes: float  # originals, logits, per-example outputs
    measured_share: float  # of the trials: those whose time is the median of finished trials of their kind

    def sentence(self, doing: str = "to run") -> str:
        """Say it in words; `doing` says what happens to the trials."""
        if not self.trials:
            return f"0 trials {doing}"
        basis = f"estimate, {self.measured_share:.0%} of it measured" if self.measured_share else "estimate"
        cores = f"{self.cores} core{'' if self.cores == 1 else 's'}"
        return (
            f"{self.trials} trial{'' if self.trials == 1 else 's'} {doing}: about {in_words(self.seconds)} on {cores} "
            f"({basis}), or {in_words(self.gpu_seconds)} on one GPU (a guess); "
            f"{size_in_words(self.storage_bytes)} of results"
        )


def estimate(
    trials: Iterable[TrialSpec],
    rows: pd.DataFrame | None,
    *,
    cores: int = 1,
    has_corpus: Callable[[PlugIn], bool] = lambda task: True,
    has_features: Callable[[TrialSpec], bool] = lambda spec: True,
) -> Estimate:
    """Estimate the cost of the trials that have no row in `rows`; unlearning counts at its whole budget.

    Args:
        trials: in the order of the plan, parents first.
        rows: of the results folder; medians of their kinds replace estimates.
        cores: CPU cores that work on them.
        has_corpus: whether a task's corpus is in the cache.
        has_features: whether the features that a trial reads are in the cache.
    """
    present = set() if rows is None else set(rows["trial_id"])
    pending = [spec for spec in trials if spec.trial_id not in present]
    if not pending:
        return Estimate(0, 0.0, cores, 0.0, 0.0, 0.0)
    medians = medians_by_kind(rows)
    found = {spec.trial_id: medians.get(kind_of(spec)) for spec in pending}
    seconds = {spec.trial_id: trial_seconds(spec) if (m := found[spec.trial_id]) is None else m for spec in pending}
    measured = sum(median is not None for median in found.values())
    busy = max(sum(seconds.values()) / cores, _longest_chain(pending, seconds))
    prepared = preparation_seconds(pending, has_corpus, has_features)
    return Estimate(
        trials=len(pending),
        seconds=START_SECONDS + prepared + busy,
        cores=cores,
        gpu_seconds=START_SECONDS + sum(TRIAL_SECONDS + _gflop(spec) / GPU_GFLOPS for spec in pending),
        storage_bytes=sum(_storage_bytes(spec) for spec in pending),
        measured_share=measured / len(pending),
    )


def kind_of(spec: TrialSpec) -> Kind:
    """The kind of a trial, as `medians_by_kind` finds it in rows."""
    return spec.stage, spec.task.title, spec.backbone.title, spec.training_title, spec.method_name


def medians_by_kind(rows: pd.DataFrame | None) -> dict[Kind, float]:
    """Median seconds of the finished trials of each kind."""
    if rows is None or rows.empty:
        return {}
    done = rows[rows["status"] == "done"]
    kinds = [done["stage"], done["task"], done["backbone"], done["training"].fillna("standard"), done["method"]]
    found = done.groupby(kinds)["total_seconds"].median()
    return {tuple(map(str, key)): float(value) for key, value in found.items()}  # type: ignore[call-overload]


def _longest_chain(trials: Sequence[TrialSpec], seconds: Mapping[str, float]) -> float:
    """Seconds until the last trial ends on unlimited cores: each waits for its parents."""
    ended: dict[str, float] = {}
    for spec in trials:
        began = max((ended.get(parent, 0.0) for parent in spec.parents.values()), default=0.0)
        ended[spec.trial_id] = began + seconds[spec.trial_id] / max(1, int(spec.loop["threads"]))
    return max(ended.values())


def preparation_seconds(
    trials: Iterable[TrialSpec], has_corpus: Callable[[PlugIn], bool], has_features: Callable[[TrialSpec], bool]
) -> float:
    """Seconds for the corpora and features that are not in the cache, one after the other."""
    tasks: dict[str, TrialSpec] = {}
    features: dict[tuple[str, str, str], TrialSpec] = {}
    for spec in trials:
        tasks.setdefault(spec.task.key, spec)
        features.setdefault((spec.task.key, spec.backbone.key, repr(spec.clip)), spec)
    spent = sum(
        corpus_size(spec).utterances * UTTERANCE_SECONDS for spec in tasks.values() if not has_corpus(spec.task)
    )
    missing = (spec for spec in features.values() if not has_features(spec))
    return spent + sum(corpus_size(spec).utterances * FORWARD_SHARE * step_seconds(spec) for spec in missing)


_SIZES: dict[str, CorpusSize] = {}


def corpus_size(spec: TrialSpec) -> CorpusSize:
    """What the trial's task expects its corpus to be."""
    key = spec.task.key
    if key not in _SIZES:
        _SIZES[key] = spec.task.instance.planned_size()
    return _SIZES[key]


_GFLOP: dict[tuple[str, float], float] = {}


def train_gflop(backbone: PlugIn, seconds: float) -> float:
    """Billions of operations of one training step for one clip of this length."""
    key = (backbone.key, seconds)
    if key not in _GFLOP:
        _GFLOP[key] = float(backbone.instance.train_gflop(seconds))
    return _GFLOP[key]


def clip_seconds(spec: TrialSpec) -> float:
    """Length of every clip of the trial; a shorter recording is padded."""
    return float(spec.clip["seconds"] or corpus_size(spec).seconds)


def _clip_gflop(spec: TrialSpec) -> float:
    return train_gflop(spec.backbone, clip_seconds(spec))


_STEP_SECONDS: dict[tuple[str, float], float] = {}


def step_seconds(spec: TrialSpec) -> float:
    """Seconds of one CPU core for one clip of a training step."""
    key = (spec.backbone.key, clip_seconds(spec))
    if key not in _STEP_SECONDS:
        _STEP_SECONDS[key] = _clip_gflop(spec) / float(spec.backbone.instance.cpu_gflops())
    return _STEP_SECONDS[key]


_PASSES: dict[tuple[int, str], float] = {}


def _passes(spec: TrialSpec) -> float:
    """Epochs of the full schedule, or what a training of another kind is charged in their place."""
    key = (int(spec.training.get("epochs", 10)), spec.training_kind.key if spec.training_kind else "")
    if key not in _PASSES:
        _PASSES[key] = training_kind_of(spec).schedule_samples(Training(epochs=key[0]), 1.0)
    return _PASSES[key]


def _clips(spec: TrialSpec) -> float:
    """Clips that a trial trains on, a forward pass counted as a third."""
    size = corpus_size(spec)
    train, evaluated = TRAIN_SHARE * size.utterances, FORWARD_SHARE * size.utterances
    if spec.reports_original:
        return 0.0  # the logits of the original are stored
    schedule = _passes(spec) * train
    relearning = (spec.evidence or {}).get("relearning")
    if relearning and spec.policy.runs_probes:
        retain = min(train, relearning["retain_limit"] or train)
        evaluated += len(relearning["forgotten"]) * relearning["epochs"] * retain
    if spec.policy.trains:
        return evaluated + schedule
    if not spec.budget:
        return evaluated
    settings, whole = spec.method.settings, float(spec.budget["fraction"]) * schedule
    epochs, share = settings.get("epochs"), float(settings.get("retain_share", 1.0))
    return evaluated + (min(whole, (epochs * share + 1) * train) if isinstance(epochs, int) else whole)


def _gflop(spec: TrialSpec) -> float:
    return _clips(spec) * _clip_gflop(spec)


def trial_seconds(spec: TrialSpec) -> float:
    """An estimate of the trial's time on one CPU core."""
    return TRIAL_SECONDS + _clips(spec) * step_seconds(spec)


def _storage_bytes(spec: TrialSpec) -> float:
    size = corpus_size(spec)
    if not (spec.policy.keeps_model or spec.is_start):
        return size.utterances * 0.5 * min(size.classes, 12) * 4  # outputs of D_f, D_v, D_t, holdout, some of D_r
    weights = train_gflop(spec.backbone, 1.0) * 1e9 / 6 / POSITIONS_PER_SECOND
    return weights * (1 + training_kind_of(spec).kept_models) * 4 + size.utterances * size.classes * 4
