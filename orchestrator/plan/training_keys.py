"""Keys of `training:` in a sweep, and of the study that searches for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from orchestrator.plan.sweep_keys import Keys, Seed, key


class TrainingEntry(Keys):
    """How originals are trained, and which part of each recording is used. Unset keys are those of the wider scope."""

    learning_rate: float | None = key(None, "of AdamW", gt=0)
    epochs: int | None = key(None, "over D in training, over D_r for Retrain", ge=1)
    batch_size: int | None = key(None, "utterances per step", ge=1)
    weight_decay: float | None = key(None, "decoupled, as in AdamW", ge=0)
    warmup_share: float | None = key(None, "share of all steps in which the rate rises linearly from 0", ge=0, lt=1)
    schedule: Literal["constant", "linear"] | None = key(None, "`linear` decays the rate to 0; `constant` keeps it")
    length_buckets: bool | None = key(
        None,
        "batches of utterances of similar length, cut to the longest, in training and unlearning: for corpora whose "
        "lengths vary, with backbones that mask padding",
    )
    keep_epoch: Literal["best", "last"] | None = key(
        None,
        "`best` on D_v, or `last`, which keeps what only long training memorizes, such as wrong labels; for originals "
        "and Retrain alike",
    )
    crop: Literal["none", "first", "center", "random"] | None = key(
        None, "`first`, `center` or `random`: which `clip_seconds` of a longer recording are used"
    )
    clip_seconds: float | None = key(
        None,
        "length of every clip; shorter recordings are padded with silence. Without it, recordings may be "
        "at most 30 s long",
        shown="longest recording",
        gt=0,
    )
    study: StudyEntry | None = key(
        None,
        "search for these settings, once per task and backbone: `{trials: 8, learning_rate: [1.0e-5, 1.0e-3], "
        "batch_size: […], epochs: […], seed: 10000}`, judged by accuracy on D_v",
    )


class TrainingVariant(TrainingEntry):
    """One of the ways to train originals: a training recipe with its settings, and a title."""

    kind: str = key(
        "standard",
        "a way of training that may keep data for later requests ([methods.md](methods.md)); its own settings are keys "
        "of the same entry",
    )
    alias: str = key("", "title in rows (`training`) and tables; titles must differ", shown="the kind", alias="as")
    settings: dict[str, Any] = Field(default={})  # of the kind; in the file they are next to the other keys

    @model_validator(mode="before")
    @classmethod
    def _separate_settings(cls, value: Any) -> Any:
        """Accept a bare string as a kind; unknown keys are settings of the kind, unless it is `standard`."""
        if isinstance(value, str):
            return {"kind": value}
        if not isinstance(value, Mapping) or value.get("kind", "standard") == "standard":
            return value
        known = {*TrainingEntry.model_fields, "kind", "as"}
        own = {name: given for name, given in value.items() if name not in known}
        return {**{name: given for name, given in value.items() if name in known}, "settings": own}

    @property
    def title(self) -> str:
        """Title in rows and tables."""
        return self.alias or self.kind


class StudyEntry(Keys):
    """A search for how to train originals: `[low, high]` are log-uniform bounds, longer lists and lists of whole
    numbers are choices; one study per task and backbone, judged by validation accuracy."""

    trials: int = key(8, "trainings that are tried", ge=1)
    learning_rate: tuple[float, float] | None = key((1e-5, 1e-3), "bounds of a log-uniform draw")
    batch_size: list[Annotated[int, Field(ge=1)]] | None = key(None, "choices", min_length=1)
    epochs: list[Annotated[int, Field(ge=1)]] | None = key(None, "choices", min_length=1)
    seed: Seed = key(10_000, "of the trained models; never a reported seed")

    @field_validator("learning_rate")
    @classmethod
    def _rising(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0 < value[0] < value[1]:
            raise ValueError("must be two bounds above 0, the lower one first")
        return value
