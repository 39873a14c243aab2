"""What a sweep may say: its keys, their types and bounds, and what must hold between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from orchestrator import plugins

Seed = Annotated[int, Field(ge=0)]


class SweepError(ValueError):
    """What is wrong with a sweep file, key by key."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[info.field_name or ""]
        if plugins.holds_boolean(value) and plugins.takes_numbers_only(field.annotation):
            raise ValueError("must be a number")
        return value


class NamedPlugIn(BaseModel):
    """A plug-in's entry: its name, an alias, and its settings beside them. A bare string is a name."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str
    alias: str = Field(default="", alias="as")

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def settings(self) -> dict[str, Any]:
        """Everything beside the fixed keys."""
        return dict(self.__pydantic_extra__ or {})


class TrainingEntry(_Model):
    """How originals are trained, and how much of each recording is heard. Unset values fall to the wider scope."""

    learning_rate: float | None = Field(default=None, gt=0)
    epochs: int | None = Field(default=None, ge=1)
    batch_size: int | None = Field(default=None, ge=1)
    weight_decay: float | None = Field(default=None, ge=0)
    warmup_share: float | None = Field(default=None, ge=0, lt=1)
    schedule: Literal["constant", "linear"] | None = None
    length_buckets: bool | None = None
    keep_epoch: Literal["best", "last"] | None = None
    crop: Literal["none", "first", "center", "random"] | None = None
    clip_seconds: float | None = Field(default=None, gt=0)
    study: StudyEntry | None = None


class KindOfTraining(TrainingEntry):
    """One way to train originals: `TrainingEntry` with a kind, that kind's own settings, and a title."""

    kind: str = "standard"
    alias: str = Field(default="", alias="as")
    settings: dict[str, Any] = {}  # of the kind; they are written beside the other keys

    @model_validator(mode="before")
    @classmethod
    def _settings_apart(cls, value: Any) -> Any:
        """A bare string is a kind; keys that training itself has not are the kind's, unless it is the standard one."""
        if isinstance(value, str):
            return {"kind": value}
        if not isinstance(value, Mapping) or value.get("kind", "standard") == "standard":
            return value
        known = {*TrainingEntry.model_fields, "kind", "as"}
        own = {key: given for key, given in value.items() if key not in known}
        return {**{key: given for key, given in value.items() if key in known}, "settings": own}

    @property
    def title(self) -> str:
        """As rows and tables name it."""
        return self.alias or self.kind


class StudyEntry(_Model):
    """A search for how to train originals: `[low, high]` are log-uniform bounds, longer lists and lists of whole
    numbers are choices; one study a (task, backbone), judged by validation accuracy."""

    trials: int = Field(default=8, ge=1)
    learning_rate: tuple[float, float] | None = (1e-5, 1e-3)
    batch_size: list[Annotated[int, Field(ge=1)]] | None = Field(default=None, min_length=1)
    epochs: list[Annotated[int, Field(ge=1)]] | None = Field(default=None, min_length=1)
    seed: Seed = 10_000  # of the trained models; never a reported seed

    @field_validator("learning_rate")
    @classmethod
    def _rising(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0 < value[0] < value[1]:
            raise ValueError("must be two bounds above 0, the lower one first")
        return value


class TaskEntry(NamedPlugIn):
    """A task, with overrides of how originals are trained on it."""

    training: TrainingEntry | None = None


class BackboneEntry(NamedPlugIn):
    """A backbone, with overrides of how originals are trained on it."""

    training: TrainingEntry | None = None


class MethodEntry(NamedPlugIn):
    """A method; a list of values is swept, in `superloss`, `curriculum` and `lora` too, which are laid over it."""

    preset: str | None = None  # faithful (the default) or mubench: what the authors' public code does
    superloss: dict[str, Any] | bool | None = None
    curriculum: dict[str, Any] | bool | None = None
    lora: dict[str, Any] | bool | None = None


class BudgetEntry(_Model):
    """What unlearning may cost, as a share of Retrain's full schedule."""

    fraction: float = Field(default=1.0, gt=0)
    unit: Literal["samples", "seconds"] = "samples"


class TuningEntry(_Model):
    """`unlearn tune`: on which seeds, how many trials for each method, judged by which rule."""

    seeds: list[Seed] = Field(default=[1000], min_length=1)
    trials: int = Field(default=8, ge=1)
    objective: Literal["rewind", "gap_to_retrain", "authors"] = "gap_to_retrain"
    backbone: str | None = None  # search on this one only, and let its choices serve every backbone
    prune: bool = True  # ASHA, under Ray
    spaces: dict[str, dict[str, Any]] = {}  # method -> setting -> [low, high] or a list of choices


class RelearningEntry(_Model):
    """The relearning attack: D_r and k forgotten utterances, `epochs` times, for each k."""

    forgotten: list[Annotated[int, Field(ge=0)]] = Field(default=[0, 1, 5, 10, 50], min_length=1)  # k
    epochs: int = Field(default=3, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)  # a tenth of the original's when None
    retain_limit: int | None = Field(default=2_000, ge=1)  # utterances of D_r; all when None


class AttributionEntry(_Model):
    """Integrated gradients on so many utterances of D_f and of D_r, in so many steps."""

    utterances: int = Field(default=16, ge=1)
    steps: int = Field(default=16, ge=1)


class EvidenceEntry(_Model):
    """Tests that every unlearned model takes after its measures; `{}` asks for one with its defaults."""

    relearning: RelearningEntry | None = None
    probe: bool = False
    attribution: AttributionEntry | None = None
    zrf: bool = False

    def asked(self) -> dict[str, Any] | None:
        """What a trial is told; None when nothing is asked for."""
        found = {name: value for name, value in self.model_dump().items() if value}
        return found or None


class Sweep(_Model):
    """A whole sweep. Field by field in docs/sweeps.md."""

    name: str = Field(max_length=100)
    description: str = ""
    tasks: list[TaskEntry] = Field(min_length=1)
    backbones: list[BackboneEntry] = Field(min_length=1)
    unlearning: list[dict[str, Any]] = Field(min_length=1)
    methods: list[MethodEntry] = Field(min_length=1)
    seeds: list[Seed] = Field(min_length=1)
    original_seed: Seed | None = None  # one original for all seeds (the paper authors' way); each its own when None
    training: KindOfTraining = KindOfTraining()
    trainings: list[KindOfTraining] = []  # what `training:` holds where it is a list
    time_budget: BudgetEntry = BudgetEntry()
    tuning: TuningEntry = TuningEntry()
    lock: str | None = None  # settings chosen by `unlearn tune`; relative to the sweep file
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False  # torch.compile, with static shapes: pays for long trials on a GPU
    deterministic: bool = False  # only kernels that repeat bit for bit: slower on a GPU
    clip_norm: float = Field(default=1.0, gt=0)
    threads_per_trial: int = Field(default=1, ge=1)
    gpus_per_trial: float = Field(default=1.0, gt=0)  # where there are any
    cache_limit_gb: float = Field(default=50.0, ge=0)  # of features kept on disk for one corpus and backbone
    hang_seconds: float | None = Field(default=1800.0, gt=0)  # without a batch: then the trial is ended, and failed
    micro_batch: int | None = Field(default=None, ge=1)  # utterances through a model at once; found where memory ends
    keep_models: Literal["none", "final"] = "none"
    evidence: EvidenceEntry = EvidenceEntry()

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
        titles = [entry.alias or entry.name for entry in entries]
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
    def _no_title_twice(cls, trainings: list[KindOfTraining]) -> list[KindOfTraining]:
        if not trainings:
            raise ValueError("training must be one way or a list of one or more, got an empty list")
        titles = [entry.title for entry in trainings]
        if len(set(titles)) < len(titles):
            raise ValueError(f"titles of trainings must differ; set `as:`, got {', '.join(titles)}")
        return trainings

    @property
    def each_training(self) -> list[KindOfTraining]:
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
