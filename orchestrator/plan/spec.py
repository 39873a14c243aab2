"""The recipe of a trial: plain values whose hash is the id of the trial, its row and its artifacts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

from orchestrator import plugins
from orchestrator.plan.stages import STAGES, Stage, StagePolicy

SPEC_VERSION = 2  # increased when the meaning of a recipe changes
EVIDENCE_VERSION = 2  # increased when a measure in the rows changes

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)  # made once: it is used often


def canonical(value: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal recipes are equal strings."""
    return _ENCODER.encode(value)


def short_hash(value: Any, digits: int = 16) -> str:
    """Return the first hex digits of SHA-256 over the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:digits]


def stage_seed(purpose: str, *parts: Any) -> int:
    """Derive a seed of 63 bits for one purpose; streams of different purposes or parts are independent."""
    return int(short_hash([purpose, *parts]), 16) & (2**63 - 1)


@dataclass(frozen=True, kw_only=True)
class PlugIn:
    """A task, backbone, method, training or forget request with its settings."""

    kind: Literal["tasks", "backbones", "methods", "trainings", "requests"]
    name: str  # of the plug-in
    alias: str = ""  # `as:` of the sweep; may be empty
    settings: Mapping[str, Any] = field(default_factory=dict)  # all arguments of the plug-in
    identity: Mapping[str, Any] = field(
        default_factory=dict
    )  # the part of the settings that the recipe contains: no paths
    version: int = 1
    content: str = ""  # corpus fingerprint, or id of the pretrained weights

    @property
    def title(self) -> str:
        """Name in rows and tables."""
        return self.alias or self.name

    def recipe(self) -> dict[str, Any]:
        """Return the part that the recipe of a trial contains."""
        return {"name": self.title, "settings": dict(self.identity), "version": self.version, "content": self.content}

    @cached_property
    def key(self) -> str:
        """The recipe as canonical JSON, computed once: thousands of trials share a plug-in."""
        return canonical(self.recipe())

    @cached_property
    def instance(self) -> Any:
        """The plug-in itself, created at the first use and not sent to other processes."""
        return plugins.load(self.kind, self.name, **self.settings)

    def carrying(self, instance: Any) -> PlugIn:
        """Set the instance, if it was created before, and return this plug-in."""
        self.__dict__["instance"] = instance
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "instance"}


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """A trial of the grid. Its id is the hash of its recipe, which contains no outcome, path, device or commit."""

    stage: Stage
    task: PlugIn
    backbone: PlugIn
    method: PlugIn
    seed: int
    original_seed: int
    training: Mapping[str, Any]  # how the original is trained: literal values, or {"study": id}
    training_kind: PlugIn | None = None  # None for standard training under its own name
    clip: Mapping[str, Any]  # {"crop": none|first|center|random, "seconds": s}: which part of each recording is used
    loop: Mapping[str, Any]  # clip_norm, precision, threads
    forget: PlugIn | None = None  # a ForgetRequest under its kind's name; None for trainings of originals
    before: tuple[PlugIn, ...] = ()  # earlier requests of the sequence, in order
    superloss: Mapping[str, Any] | None = None
    curriculum: Mapping[str, Any] | None = None
    lora: Mapping[str, Any] | None = None
    best_epoch: Mapping[str, Any] | None = None
    budget: Mapping[str, Any] | None = None  # {"fraction": x, "unit": "samples" | "seconds"}
    parents: Mapping[str, str] = field(default_factory=dict)  # trials whose outcome this trial uses: role to id
    retrain_id: str = ""  # not in the recipe: the trial that the report compares it with, also if it did not run
    study: Mapping[str, Any] | None = None  # {"id": ..., "trial": n} if it belongs to a study
    sweep: str = ""  # not in the recipe
    keep_model: bool = False  # not in the recipe: write the model as a Hugging Face folder
    evidence: Mapping[str, Any] | None = None  # not in the recipe: tests of the model after its measures
    curves: Mapping[str, Any] | None = None  # not in the recipe: {"points": n, "utterances": m}
    lock: str = ""  # not in the recipe: the rule by which the settings were chosen, and on which corpus
    tuned: Sequence[str] = ()  # not in the recipe: the settings that were chosen
    sequence: Mapping[str, Any] | None = None  # not in the recipe: {"name": ..., "steps": K}
    is_start: bool = False  # not in the recipe: the next request starts from its model, so the model is kept

    def but(self, **changes: Any) -> TrialSpec:
        """Return a copy with other fields: `dataclasses.replace` at a tenth of its cost, for plans of many trials."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, **changes)
        made.__dict__.pop("trial_id", None)
        return made

    def recipe(self) -> dict[str, Any]:
        """Return what the id hashes. Fields that were added later are in it only if set, so that older ids stay."""
        return self._with(PlugIn.recipe)

    def _with(self, represent: Callable[[PlugIn], Any]) -> dict[str, Any]:
        later = {"curriculum": self.curriculum, "lora": self.lora, "best_epoch": self.best_epoch}
        found: dict[str, Any] = {name: dict(modifier) for name, modifier in later.items() if modifier}
        if self.training_kind:
            found["training_kind"] = represent(self.training_kind)
        if self.before:
            found["before"] = [represent(request) for request in self.before]
        return found | {
            "spec_version": SPEC_VERSION,
            "evidence_version": EVIDENCE_VERSION,
            "stage": self.stage,
            "task": represent(self.task),
            "backbone": represent(self.backbone),
            "method": represent(self.method),
            "seed": self.seed,
            "original_seed": self.original_seed,
            "training": dict(self.training),
            "clip": dict(self.clip),
            "loop": dict(self.loop),
            "forget": represent(self.forget) if self.forget else None,
            "superloss": dict(self.superloss) if self.superloss else None,
            "budget": dict(self.budget) if self.budget else None,
            "parents": dict(self.parents),
            "study": dict(self.study) if self.study else None,
        }

    @property
    def request(self) -> Mapping[str, Any]:
        """Settings of the ForgetRequest; empty for trainings of originals."""
        return self.forget.settings if self.forget else {}

    @property
    def starts_from(self) -> str | None:
        """Id of the trial whose model is unlearned: the original or the previous request; None for trainings."""
        return self.parents.get("step") or self.parents.get("original")

    @property
    def training_title(self) -> str:
        """Title of the training in rows."""
        return self.training_kind.title if self.training_kind else "standard"

    @property
    def method_name(self) -> str:
        """Name of the method in rows: `original` for trainings of originals."""
        return "original" if self.policy.trains_original else self.method.name

    @property
    def policy(self) -> StagePolicy:
        """What trials of this stage do."""
        return STAGES[self.stage]

    @property
    def reports_original(self) -> bool:
        """Whether this is the baseline Original: nothing is unlearned, and the stored logits are evaluated."""
        return self.policy.unlearns and self.method_name == "original"

    @cached_property
    def trial_id(self) -> str:
        """Hash of the recipe, 16 hex digits."""
        return short_hash(self._with(lambda plugin: plugin.key))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for another process."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialSpec:
        """Create a spec from the values of `to_dict`."""
        names = ("task", "backbone", "method", "forget", "training_kind")
        plug_ins = {key: PlugIn(**values[key]) for key in names if values.get(key)}
        before = tuple(PlugIn(**request) for request in values["before"])
        return cls(**{**values, **plug_ins, "before": before})
