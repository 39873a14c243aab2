"""What a grid would cost: device-hours and storage, measured where rows tell, modelled where none do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from methods.base import Training
from orchestrator.plan.spec import PlugIn, TrialSpec
from orchestrator.plan.trainings import training_kind_of
from orchestrator.tasks.base import CorpusSize

if TYPE_CHECKING:
    import pandas as pd

CPU_GFLOPS = 20.0  # a core, small float32 matrices: the rate that guesses assume
GPU_GFLOPS = 60_000.0  # a data-centre GPU in bf16 at a fifth of its peak
POSITIONS_A_SECOND = 50  # of the encoders here: turns operations into weights


@dataclass(frozen=True)
class Estimate:
    """Cost of the trials that have no row yet."""

    trials: int
    cpu_hours: float  # on one core
    gpu_hours: float  # the same work on one GPU; a guess
    storage_gb: float  # originals, logits, per-example outputs
    measured_share: float  # of the trials whose time comes from rows of the same stage, task and backbone

    def sentence(self, doing: str = "to run") -> str:
        """The estimate in words; `doing` says what becomes of the trials."""
        basis = (
            f"{self.measured_share:.0%} of it from measured rows" if self.measured_share else "a guess from arithmetic"
        )
        return (
            f"{self.trials} trials {doing}: about {self.cpu_hours:,.1f} hours of one CPU core ({basis}), "
            f"or {self.gpu_hours:,.1f} GPU-hours (a guess), and {self.storage_gb:,.1f} GB of results"
        )


def estimate(trials: Sequence[TrialSpec], rows: pd.DataFrame | None) -> Estimate:
    """Cost of those trials that `rows` do not hold; unlearning is counted at its whole budget."""
    present = set() if rows is None else set(rows["trial_id"])
    medians = _medians(rows)
    cpu = gflop = storage = 0.0
    pending = measured = 0
    for spec in trials:
        if spec.trial_id in present:
            continue
        pending += 1
        work = _gflop(spec)
        gflop += work
        seconds = medians.get((spec.stage, spec.task.title, spec.backbone.title, spec.training_title))
        measured += seconds is not None
        cpu += trial_seconds(spec) if seconds is None else seconds
        storage += _storage_gb(spec)
    return Estimate(
        trials=pending,
        cpu_hours=cpu / 3600,
        gpu_hours=gflop / GPU_GFLOPS / 3600,
        storage_gb=storage,
        measured_share=measured / pending if pending else 0.0,
    )


def _medians(rows: pd.DataFrame | None) -> dict[tuple[str, ...], float]:
    if rows is None or rows.empty:
        return {}
    done = rows[rows["status"] == "done"]
    cells = [done["stage"], done["task"], done["backbone"], done["training"].fillna("standard")]
    found = done.groupby(cells)["total_seconds"].median()
    return {tuple(map(str, key)): float(value) for key, value in found.items()}  # type: ignore[call-overload]


_SIZES: dict[str, CorpusSize] = {}


def corpus_size(spec: TrialSpec) -> CorpusSize:
    """What the trial's task expects its corpus to be."""
    key = spec.task.key
    if key not in _SIZES:
        _SIZES[key] = spec.task.instance.expected_size()
    return _SIZES[key]


_GFLOP: dict[tuple[str, float], float] = {}


def train_gflop(backbone: PlugIn, seconds: float) -> float:
    """Billions of operations of one training step for one clip of this length."""
    key = (backbone.key, seconds)
    if key not in _GFLOP:
        _GFLOP[key] = float(backbone.instance.train_gflop(seconds))
    return _GFLOP[key]


def _gflop(spec: TrialSpec) -> float:
    size = corpus_size(spec)
    a_clip = train_gflop(spec.backbone, min(size.seconds, spec.clip["seconds"] or size.seconds))
    schedule = training_kind_of(spec).schedule_samples(Training(epochs=int(spec.training.get("epochs", 10))), 1.0)
    steps = 0.0
    if spec.stage in ("train", "study", "retrain"):
        steps = schedule
    elif spec.budget:
        steps = min(spec.budget["fraction"] * schedule, float(spec.method.settings.get("epochs", schedule)) + 1)
    return size.utterances * a_clip * (steps + 1 / 3)  # the third: evaluating every utterance once


def trial_seconds(spec: TrialSpec) -> float:
    """A guess at the trial's time on one CPU core."""
    return _gflop(spec) / CPU_GFLOPS


def _storage_gb(spec: TrialSpec) -> float:
    size = corpus_size(spec)
    if spec.stage != "train" and not spec.is_start:
        return size.utterances * 0.5 * min(size.classes, 12) * 4 / 1e9  # outputs of D_f, D_v, D_t, holdout, some of D_r
    weights = train_gflop(spec.backbone, 1.0) * 1e9 / 6 / POSITIONS_A_SECOND
    return (weights * (1 + training_kind_of(spec).kept_models) * 4 + size.utterances * size.classes * 4) / 1e9
