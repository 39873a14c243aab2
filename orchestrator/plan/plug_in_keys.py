"""Keys of the entries of `tasks`, `backbones` and `methods` in a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from orchestrator.plan.training_keys import TrainingEntry


class NamedPlugIn(BaseModel):
    """A plug-in's entry: its name, an alias, and its settings as further keys. A bare string is a name."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str
    alias: str = Field(default="", alias="as")

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def title(self) -> str:
        """Name in rows and tables."""
        return self.alias or self.name

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the fixed keys."""
        return dict(self.__pydantic_extra__ or {})


class TaskEntry(NamedPlugIn):
    """A task, with overrides of how originals are trained on it, and of its settings in searches."""

    training: TrainingEntry | None = None
    tune_on: dict[str, Any] | None = None  # settings of the task in `unlearn tune`: other recordings than reported ones

    @field_validator("tune_on")
    @classmethod
    def _only_settings(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        fixed = [name for name in ("name", "as", "training", "tune_on") if name in (value or {})]
        if value is not None and (fixed or not value):
            raise ValueError(
                "must have settings of the task that choose other recordings, such as {seed: 1} or {where: {take: "
                f"[8, 9]}}}}, got {', '.join(fixed) or 'none'}"
            )
        return value

    @property
    def for_tuning(self) -> TaskEntry:
        """The task as searches use it: `tune_on` overrides its settings, mappings key by key."""
        if self.tune_on is None:
            return self
        return self.model_copy(update={"tune_on": None, **overridden(self.settings, self.tune_on)})


class BackboneEntry(NamedPlugIn):
    """A backbone, with overrides of how originals are trained on it."""

    training: TrainingEntry | None = None


class MethodEntry(NamedPlugIn):
    """A method; a list of values is swept, also in its modifiers."""

    preset: str | None = None  # faithful (the default), mubench (the authors' public code) or paper (its words)
    superloss: dict[str, Any] | bool | None = None
    curriculum: dict[str, Any] | bool | None = None
    lora: dict[str, Any] | bool | None = None
    best_epoch: dict[str, Any] | bool | None = None  # by default as `selection` of the sweep


def overridden(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the keys of `top`; mappings are merged key by key, lists and values are replaced."""
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = overridden(merged[key], value) if both else value
    return merged
