"""How the originals of a cell are trained: settings of each scope, trainings, and studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from methods.base import Training, TrainingRecipe
from orchestrator import plugins
from orchestrator.plan.plug_in_keys import BackboneEntry, TaskEntry
from orchestrator.plan.spec import PlugIn, TrialSpec, short_hash
from orchestrator.plan.training_keys import StudyEntry, TrainingEntry, TrainingVariant

CLIP_KEYS = ("crop", "clip_seconds")


@dataclass(frozen=True)
class StudyPlan:
    """A search for how to train the originals of a task and backbone; its trials differ only in `study.trial`."""

    study_id: str
    space: Mapping[str, Any]  # setting -> (low, high) or a list of choices
    base: Mapping[str, Any]  # settings that are not searched
    trials: tuple[TrialSpec, ...]


def training_of(
    training: TrainingEntry, task: TaskEntry, backbone: BackboneEntry
) -> tuple[dict[str, Any], dict[str, Any], StudyEntry | None]:
    """Return how originals are trained, which part of each recording is used, and the study if there is one.

    The entry of a backbone overrides that of the task, which overrides that of the sweep.

    Raises:
        ValueError: `crop` is set without `clip_seconds`.
    """
    values: dict[str, Any] = {**asdict(Training()), "crop": "none", "clip_seconds": None}
    study: StudyEntry | None = None
    for entry in (training, task.training or TrainingEntry(), backbone.training or TrainingEntry()):
        given = entry.model_dump(include=set(TrainingEntry.model_fields) - {"study"})
        values.update({k: v for k, v in given.items() if v is not None})
        study = entry.study or study
    if values["crop"] != "none" and values["clip_seconds"] is None:
        raise ValueError(
            f"training.crop needs training.clip_seconds: got crop: {values['crop']} without it; set both, or crop: none"
        )
    clip = {"crop": values["crop"], "seconds": values["clip_seconds"]}
    usual = {"length_buckets": False, "keep_epoch": "best"}  # in a recipe only if they differ
    return {k: v for k, v in values.items() if k not in CLIP_KEYS and usual.get(k) != v}, clip, study


def training_plugin(entry: TrainingVariant) -> PlugIn | None:
    """Return a training with all its settings; None for standard training under its own name.

    Raises:
        ValueError: an unknown kind or setting, a setting out of range, or the title `standard` for another kind.
    """
    kind = plugins.load("trainings", entry.kind, **entry.settings)
    if entry.title == "standard":
        if entry.kind != "standard":
            raise ValueError(
                f"the title standard is only for standard training: got as: standard for {entry.kind}; change it"
            )
        return None
    settings = {f.name: getattr(kind, f.name) for f in fields(kind)}
    made = PlugIn(
        kind="trainings",
        name=entry.kind,
        alias=entry.alias,
        settings=settings,
        identity=settings,
        version=kind.version,
    )
    return made.carrying(kind)


def study_plan(original: TrialSpec, study: StudyEntry) -> StudyPlan:
    """Plan the trials of a study."""
    space = {k: v for k, v in study.model_dump(exclude={"trials", "seed"}).items() if v}
    base = {k: v for k, v in original.training.items() if k not in space}
    parent = replace(original, stage="study", training=base, seed=study.seed, original_seed=study.seed)
    study_id = short_hash({"of": parent.recipe(), "space": space, "trials": study.trials})
    trials = tuple(replace(parent, study={"id": study_id, "trial": n}) for n in range(study.trials))
    return StudyPlan(study_id, space, base, trials)


STANDARD = PlugIn(kind="trainings", name="standard")


def training_kind_of(spec: TrialSpec) -> TrainingRecipe:
    """Return how the original of a trial is trained; standard training if the recipe names no kind."""
    kind: TrainingRecipe = (spec.training_kind or STANDARD).instance
    return kind
