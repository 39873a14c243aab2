"""Keys of a sweep, with their types and bounds, and the conditions between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from orchestrator.plan.plug_in_keys import BackboneEntry, MethodEntry, TaskEntry
from orchestrator.plan.sweep_keys import Keys, Seed, key
from orchestrator.plan.training_keys import TrainingVariant

Positive = Annotated[float, Field(gt=0)]


class SweepError(ValueError):
    """A sweep file is wrong; the message lists each wrong key."""


class BudgetEntry(Keys):
    """What unlearning may cost, as a share of Retrain's full schedule."""

    fraction: Positive | list[Positive] = key(
        1.0, "share of what Retrain's full schedule costs; of several, every method runs with each"
    )
    unit: Literal["samples", "seconds"] = key(
        "samples", "`samples` is the same on every machine; `seconds` is measured"
    )

    @field_validator("fraction")
    @classmethod
    def _each_once(cls, value: float | list[float]) -> float | list[float]:
        if isinstance(value, list) and len(set(value)) != max(1, len(value)):
            raise ValueError(f"must be a number or a list of different numbers, got {value}")
        return value

    @property
    def each(self) -> list[dict[str, Any]]:
        """The budgets as trials have them; the grid is multiplied by them."""
        fractions = self.fraction if isinstance(self.fraction, list) else [self.fraction]
        return [{"fraction": fraction, "unit": self.unit} for fraction in fractions]


class TuningEntry(Keys):
    """`unlearn tune`: on which seeds, how many trials for each method, judged by which rule."""

    seeds: list[Seed] = key([1000], "never reported seeds", min_length=1)
    trials: int = key(8, "of each search", ge=1)
    objective: Literal["rewind", "gap_to_retrain", "authors"] = key(
        "gap_to_retrain", "the rule that trials are judged by"
    )
    backbone: str | None = key(None, "search on this one only; its choices serve every backbone")
    prune: bool = key(True, "stop bad trials early (ASHA); under Ray only")
    schedule: Literal["own", "searched"] = key(
        "own",
        "`searched` adds the part of D_r and the rate schedule to the space of every method that has them",
    )
    spaces: dict[str, dict[str, Any]] = key({}, "by method and setting: `[low, high]`, or a list of choices")


class RelearningEntry(Keys):
    """The relearning attack: D_r and k forgotten utterances, `epochs` times, for each k."""

    forgotten: list[Annotated[int, Field(ge=0)]] = key([0, 1, 5, 10, 50], "each k that is tried", min_length=1)
    epochs: int = key(3, "of relearning", ge=1)
    learning_rate: float | None = key(None, "of relearning", shown="a tenth of the original's", gt=0)
    retain_limit: int | None = key(2_000, "utterances of D_r; all of them with `null`", ge=1)


class AttributionEntry(Keys):
    """Integrated gradients on so many utterances of D_f and of D_r, in so many steps."""

    utterances: int = key(16, "of D_f, and as many of D_r", ge=1)
    steps: int = key(16, "of the integral", ge=1)


class CanariesEntry(Keys):
    """Exposure and extraction of planted secrets on so many recordings of each."""

    recordings: int = key(2, "of each canary and group, at most", ge=1)


class EvidenceEntry(Keys):
    """Tests of every unlearned model after its measures; `{}` requests one with its defaults."""

    relearning: RelearningEntry | None = key(None, "train on D_r and a few forgotten utterances")
    probe: bool = key(False, "a linear probe on the embeddings")
    attribution: AttributionEntry | None = key(None, "integrated gradients")
    zrf: bool = key(False, "zero retrain forgetting")
    embeddings: bool = key(False, "store what the head reads")
    canaries: bool | CanariesEntry = key(False, "exposure and extraction of planted secrets, of recognizers")

    def requested(self) -> dict[str, Any] | None:
        """Return the tests that a trial runs; None if there are none."""
        found = {name: value for name, value in self.model_dump().items() if value}
        return found or None


class CurvesEntry(Keys):
    """Accuracy and loss of a trial after its epochs, measured by the harness only."""

    points: int = key(10, "epochs of a trial that are kept, at most; 0: no curves", ge=0)
    utterances: int = key(50, "of each set, at most", ge=1)


class Sweep(Keys):
    """A whole sweep. The descriptions of its keys are the tables of docs/sweeps.md (`plan/key_tables.py`)."""

    name: str = key(
        ...,
        "letters, digits, `.`, `_`, `-`; at most 100, the first neither `.` nor `-`; names the record of the launch in "
        "the results folder",
        max_length=100,
    )
    description: str = key("", "shown by `unlearn ls`", shown="empty")
    tasks: list[TaskEntry] = key(
        ...,
        "corpora: a name, or `{name: …, as: …, training: …, tune_on: …}` with the task's settings "
        "([data.md](data.md)); `tune_on` has other settings for searches "
        "([tuning.md](tuning.md#search-on-other-recordings-than-you-report))",
        min_length=1,
    )
    backbones: list[BackboneEntry] = key(
        ...,
        "networks: a name, or `{name: …, as: …, training: …}` with the backbone's settings "
        "([backbones.md](backbones.md))",
        min_length=1,
    )
    unlearning: list[dict[str, Any]] = key(
        ...,
        "what is forgotten ([data.md](data.md)); a list of `forget_ratio` is swept; `tasks: […]` and `backbones: […]` "
        "limit a scenario to some of them; `kind: sequence` is a list of requests one after another "
        "([below](#sequences-of-requests))",
        min_length=1,
    )
    methods: list[MethodEntry] = key(
        ...,
        "a name, or `{name: …, preset: …, superloss: …, curriculum: …, lora: …, best_epoch: …}` with the method's "
        "settings; a list of values is swept ([methods.md](methods.md))",
        min_length=1,
    )
    selection: Literal["last", "best_epoch"] = key(
        "last",
        "which epoch of a method is kept: `best_epoch` is the best on D_f and D_v, for each method that trains and "
        "does not say `best_epoch: false` ([methods.md](methods.md#best-epoch))",
    )
    seeds: list[Seed] = key(..., "each seed has its own original, forget sets and data order", min_length=1)
    original_seed: Seed | None = key(
        None,
        "one original for all seeds: the paper authors' way; then seeds vary the unlearning and the forget set only",
        shown="each seed its own",
    )
    training: TrainingVariant = key(
        TrainingVariant(),
        "how originals are trained, and how much of a recording is used; a list of ways multiplies the grid",
        shown="[below](#training)",
    )
    trainings: list[TrainingVariant] = Field(default=[])  # what `training:` holds where it is a list
    time_budget: BudgetEntry = key(
        BudgetEntry(), "what unlearning may cost; a list of `fraction` is swept ([budget.md](budget.md))"
    )
    tuning: TuningEntry = key(TuningEntry(), "what `unlearn tune` does", shown="see [tuning.md](tuning.md)")
    lock: str | None = key(None, "a file that `unlearn tune` wrote, relative to the sweep file")
    precision: Literal["fp32", "bf16"] = key(
        "fp32",
        "without TF32; or `bf16`: autocast in steps, in passes over a set and in the scores that choose an epoch. "
        "Weights, optimizer and a row's measures stay fp32 (with TF32 on a GPU)",
    )
    compile: bool = key(
        False,
        "`torch.compile` with static shapes: full batches run compiled, smaller ones do not. Compiling is not charged; "
        "it pays for trials of many minutes on a GPU",
    )
    deterministic: bool = key(
        False,
        "only kernels that repeat bit for bit (`torch.use_deterministic_algorithms`); slower on a GPU",
    )
    clip_norm: float = key(1.0, "largest norm of the gradient, in training and unlearning", gt=0)
    threads_per_trial: int = key(1, "CPU threads; part of a trial's identity, since sums depend on them", ge=1)
    gpus_per_trial: float = key(
        1.0,
        "where there are GPUs; 0.5 packs two trials on one. With a budget in `seconds` this holds for searches only: "
        "every other trial has a GPU to itself",
        gt=0,
    )
    cache_limit_gb: float = key(
        50.0,
        "features of one corpus and backbone above this are computed for each batch, not kept",
        ge=0,
    )
    hang_seconds: float | None = key(
        1800.0,
        "a trial that makes no batch for this long is ended and `failed`, with the stack of where it hung; `null` "
        "waits forever. Building corpora and features is not watched",
        gt=0,
    )
    micro_batch: int | None = key(
        None,
        "utterances that go through a model at once; by default whole batches on a GPU and as many as are worth it on "
        "a processor, and half as many each time memory runs out ([cluster.md](cluster.md))",
        shown="found",
        ge=1,
    )
    keep_models: Literal["none", "final"] = key(
        "none",
        "`final` writes every original, retrained and unlearned model as a folder to `unlearned/` "
        "([results.md](results.md))",
    )
    evidence: EvidenceEntry = key(
        EvidenceEntry(),
        "tests of each model after its measures: `relearning`, `probe`, `zrf`, `attribution`, "
        "`embeddings`, `canaries` "
        "([evidence.md](evidence.md))",
        shown="nothing",
    )
    curves: CurvesEntry = key(
        CurvesEntry(),
        "accuracy, loss and charged cost after at most `points` epochs of a trial, on at most `utterances` of D_f, D_v "
        "and D_r each, in `curves/`; not charged; `points: 0` turns it off ([results.md](results.md#read-curves))",
    )

    log_to: list[Literal["tensorboard", "mlflow", "wandb"]] = key(
        [],
        "trackers that get a run per trial, grouped by sweep, with curve, settings and measures "
        "([tracking.md](tracking.md))",
        shown="none",
    )

    @field_validator("name")
    @classmethod
    def _names_a_file(cls, name: str) -> str:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise ValueError(
                f"must begin with a letter, a digit or _, and go on with these, dots and dashes; got {name!r}"
            )
        return name

    @field_validator("tasks", "backbones")
    @classmethod
    def _no_plug_in_title_twice(cls, entries: list[Any]) -> list[Any]:
        titles = [entry.title for entry in entries]
        if twice := sorted({title for title in titles if titles.count(title) > 1}):
            raise ValueError(f"two entries have one title: set `as:` on one of them, got {', '.join(twice)} twice")
        return entries

    @model_validator(mode="before")
    @classmethod
    def _list_of_trainings(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "trainings" in values:
            raise ValueError(
                "unknown key trainings, allowed: training, which takes one way to train or a list, got both"
            )
        if not isinstance(values, Mapping) or not isinstance(values.get("training"), list):
            return values
        return {**{key: value for key, value in values.items() if key != "training"}, "trainings": values["training"]}

    @field_validator("trainings")
    @classmethod
    def _no_title_twice(cls, trainings: list[TrainingVariant]) -> list[TrainingVariant]:
        if not trainings:
            raise ValueError("training must be one way or a list of one or more, got an empty list")
        titles = [entry.title for entry in trainings]
        if len(set(titles)) < len(titles):
            raise ValueError(f"titles of trainings must differ; set `as:`, got {', '.join(titles)}")
        return trainings

    @property
    def each_training(self) -> list[TrainingVariant]:
        """The ways to train originals; the grid is multiplied by them."""
        return self.trainings or [self.training]

    @field_validator("seeds")
    @classmethod
    def _no_seed_twice(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"seeds must differ from each other, got {seeds}")
        return seeds

    @model_validator(mode="after")
    def _tuning_is_apart(self) -> Sweep:
        shared = set(self.tuning.seeds) & set(self.seeds)
        if shared:
            raise ValueError(f"tuning.seeds must never be reported seeds, got {sorted(shared)} in both")
        return self
