"""A trial's recipe: plain values whose hash names the trial, its row and its artifacts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

from orchestrator import plugins
from orchestrator.plan.stages import STAGES, Stage, StagePolicy

SPEC_VERSION = 2  # bumped when the meaning of a recipe changes
EVIDENCE_VERSION = 2  # bumped when a measure in the rows changes

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)  # made once: it is asked often


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal recipes are equal strings."""
    return _ENCODER.encode(value)


def short_hash(value: Any, digits: int = 16) -> str:
    """The first hex digits of SHA-256 over the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:digits]


def stage_seed(purpose: str, *parts: Any) -> int:
    """A seed of 63 bits for one purpose; streams of different purposes or parts are independent."""
    return int(short_hash([purpose, *parts]), 16) & (2**63 - 1)


@dataclass(frozen=True, kw_only=True)
class PlugIn:
    """A task, backbone, method, kind of training or forget request with its settings."""

    kind: Literal["tasks", "backbones", "methods", "trainings", "requests"]
    name: str  # of the plug-in
    alias: str = ""  # as rows name it; the plug-in's name when empty
    settings: Mapping[str, Any] = field(default_factory=dict)  # all that the plug-in is made with
    identity: Mapping[str, Any] = field(default_factory=dict)  # what of it belongs to the recipe: no paths
    version: int = 1
    content: str = ""  # corpus fingerprint, or id of the pretrained weights

    @property
    def title(self) -> str:
        """As rows name it."""
        return self.alias or self.name

    def recipe(self) -> dict[str, Any]:
        """What belongs to the recipe."""
        return {"name": self.title, "settings": dict(self.identity), "version": self.version, "content": self.content}

    @cached_property
    def key(self) -> str:
        """The recipe as canonical JSON; made once, since thousands of trials share a plug-in."""
        return canonical(self.recipe())

    @cached_property
    def instance(self) -> Any:
        """The plug-in itself, made at the first use. It is not sent to other processes, which make their own."""
        return plugins.load(self.kind, self.name, **self.settings)

    def carrying(self, instance: Any) -> PlugIn:
        """This plug-in with an instance that was made already."""
        self.__dict__["instance"] = instance
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "instance"}


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """One cell of the grid. Its id is the hash of its recipe, never of an outcome, a path, a device or a commit."""

    stage: Stage
    task: PlugIn
    backbone: PlugIn
    method: PlugIn
    seed: int
    original_seed: int
    training: Mapping[str, Any]  # how the original is trained: literal values, or {"study": id}
    training_kind: PlugIn | None = None  # None for standard training under its own name
    clip: Mapping[str, Any]  # {"crop": none|first|center|random, "seconds": s}: what of each recording the model hears
    loop: Mapping[str, Any]  # clip_norm, precision, threads
    forget: PlugIn | None = None  # a ForgetRequest under its kind's name; None while training the original
    before: tuple[PlugIn, ...] = ()  # requests of a sequence that were met before this one, in their order
    superloss: Mapping[str, Any] | None = None
    curriculum: Mapping[str, Any] | None = None
    lora: Mapping[str, Any] | None = None
    budget: Mapping[str, Any] | None = None  # {"fraction": x, "unit": "samples" | "seconds"}
    parents: Mapping[str, str] = field(default_factory=dict)  # whose outcome this trial uses: role to trial id
    retrain_id: str = ""  # not in the recipe: what the report compares this trial with, whether it has run or not
    study: Mapping[str, Any] | None = None  # {"id": ..., "trial": n} of a search's trial
    sweep: str = ""  # not in the recipe
    keep_model: bool = False  # not in the recipe: write the model as a Hugging Face folder
    evidence: Mapping[str, Any] | None = None  # not in the recipe: tests that the model takes after its measures
    lock: str = ""  # not in the recipe: the rule by which the settings were chosen
    sequence: Mapping[str, Any] | None = None  # not in the recipe: {"name": ..., "steps": K} as it was planned
    is_start: bool = False  # not in the recipe: the next request starts from its model, which is kept for that

    def but(self, **changes: Any) -> TrialSpec:
        """The same cell with other fields: `dataclasses.replace` at a tenth of its cost, for plans of many trials."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, **changes)
        made.__dict__.pop("trial_id", None)
        return made

    def recipe(self) -> dict[str, Any]:
        """What the id hashes. A knob that came later stands in it only where it is set, so that older ids stay."""
        return self._with(PlugIn.recipe)

    def _with(self, said: Callable[[PlugIn], Any]) -> dict[str, Any]:
        later = {"curriculum": self.curriculum, "lora": self.lora}
        found: dict[str, Any] = {name: dict(knob) for name, knob in later.items() if knob}
        if self.training_kind:
            found["training_kind"] = said(self.training_kind)
        if self.before:
            found["before"] = [said(request) for request in self.before]
        return found | {
            "spec_version": SPEC_VERSION,
            "evidence_version": EVIDENCE_VERSION,
            "stage": self.stage,
            "task": said(self.task),
            "backbone": said(self.backbone),
            "method": said(self.method),
            "seed": self.seed,
            "original_seed": self.original_seed,
            "training": dict(self.training),
            "clip": dict(self.clip),
            "loop": dict(self.loop),
            "forget": said(self.forget) if self.forget else None,
            "superloss": dict(self.superloss) if self.superloss else None,
            "budget": dict(self.budget) if self.budget else None,
            "parents": dict(self.parents),
            "study": dict(self.study) if self.study else None,
        }

    @property
    def request(self) -> Mapping[str, Any]:
        """Settings of the ForgetRequest; empty while training the original."""
        return self.forget.settings if self.forget else {}

    @property
    def starts_from(self) -> str | None:
        """Id of the trial whose model is unlearned: the original's, or that of the request before; None in training."""
        return self.parents.get("step") or self.parents.get("original")

    @property
    def training_title(self) -> str:
        """The kind of training as rows name it."""
        return self.training_kind.title if self.training_kind else "standard"

    @property
    def line(self) -> str:
        """The method as a table's line: an original's training is `original`."""
        return "original" if self.policy.trains_original else self.method.name

    @property
    def policy(self) -> StagePolicy:
        """What a trial of this stage does."""
        return STAGES[self.stage]

    @property
    def reports_original(self) -> bool:
        """Whether this is the Original row of a table: nothing is unlearned, and the stored logits are evaluated."""
        return self.policy.unlearns and self.line == "original"

    @cached_property
    def trial_id(self) -> str:
        """Sixteen hex digits: the hash of the recipe, plug-ins by their keys."""
        return short_hash(self._with(lambda plugin: plugin.key))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for another process."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialSpec:
        """The inverse of `to_dict`."""
        names = ("task", "backbone", "method", "forget", "training_kind")
        plugs = {key: PlugIn(**values[key]) for key in names if values.get(key)}
        before = tuple(PlugIn(**request) for request in values["before"])
        return cls(**{**values, **plugs, "before": before})
