"""A sweep becomes its trials, in the order in which they should run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from methods.base import Training
from orchestrator import plugins
from orchestrator.plan.cost import train_gflop
from orchestrator.plan.locks import Lock, read_lock
from orchestrator.plan.method_lines import MethodLine, method_lines, method_plugin
from orchestrator.plan.requests import Asked, read_requests, unsuitable
from orchestrator.plan.spec import PlugIn, TrialSpec, short_hash
from orchestrator.plan.sweep import BackboneEntry, StudyEntry, Sweep, TaskEntry, TrainingEntry

CLIP_KEYS = ("crop", "clip_seconds")


@dataclass(frozen=True)
class Refusal:
    """A part of the grid that cannot run, and why."""

    what: str
    reason: str


@dataclass
class Grid:
    """All trials of a sweep, parents before children; and what was refused."""

    trials: list[TrialSpec] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    studies: dict[str, StudyPlan] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyPlan:
    """A search for how to train the originals of one (task, backbone): its trials differ in `study.trial` only."""

    study_id: str
    space: Mapping[str, Any]  # setting -> (low, high) or a list of choices
    base: Mapping[str, Any]  # settings that are not searched
    trials: tuple[TrialSpec, ...]


def build_grid(sweep: Sweep) -> Grid:
    """Every cell of the sweep. Pure but for the size and digest of files that tasks and checkpoints name.

    Raises:
        ValueError: unknown plug-in or setting, a setting out of range, or a lock file that is not there.
    """
    lock = read_lock(Path(sweep.lock)) if sweep.lock else Lock()
    titles = [[entry.alias or entry.name for entry in entries] for entries in (sweep.tasks, sweep.backbones)]
    requests = read_requests(sweep.unlearning, *titles)
    lines = [line for entry in sweep.methods for line in method_lines(entry)]
    missing = dict.fromkeys(asked.missing for asked in requests if asked.missing)
    grid = Grid(refused=[Refusal(f"file of {sweep.name}", reason) for reason in missing])
    tasks = [(entry, plugin) for entry in sweep.tasks if (plugin := _task(entry, grid))]
    backbones = [(entry, plugin) for entry in sweep.backbones if (plugin := _backbone(entry, grid))]
    backbones.sort(key=lambda pair: -train_gflop(pair[1], 1.0))  # stragglers first; stable among equals
    pairs = [
        (backbone_entry, backbone, task_entry, task, _suited(requests, task, backbone, grid))
        for (backbone_entry, backbone), (task_entry, task) in itertools.product(backbones, tasks)
    ]
    seen: set[str] = set()
    for seed in sweep.seeds:  # every cell has one seed before any has two
        for backbone_entry, backbone, task_entry, task, suited in pairs:
            cell = _Cell(sweep, task_entry, task, backbone_entry, backbone, seed, lock, grid)
            for spec in cell.trials(suited, lines):
                if spec.trial_id not in seen:  # originals are shared when original_seed is fixed
                    seen.add(spec.trial_id)
                    grid.trials.append(spec)
    return grid


@dataclass
class _Cell:
    """One (task, backbone, seed): its original, and what is unlearned from it."""

    sweep: Sweep
    task_entry: TaskEntry
    task: PlugIn
    backbone_entry: BackboneEntry
    backbone: PlugIn
    seed: int
    lock: Lock
    grid: Grid

    def trials(self, requests: list[PlugIn], lines: list[MethodLine]) -> Iterator[TrialSpec]:
        if not requests:
            return
        training, clip, study = training_of(self.sweep, self.task_entry, self.backbone_entry)
        original_seed = self.seed if self.sweep.original_seed is None else self.sweep.original_seed
        shared = TrialSpec(
            stage="train",
            task=self.task,
            backbone=self.backbone,
            method=method_plugin("retrain", {}),
            seed=original_seed,
            original_seed=original_seed,
            training=training,
            clip=clip,
            loop=loop_of(self.sweep),
            sweep=self.sweep.name,
            keep_model=self.sweep.keep_models == "final",
            evidence=self.sweep.evidence.asked(),
        )
        if study:
            plan = study_plan(replace(shared, keep_model=False, evidence=None), study)
            self.grid.studies[plan.study_id] = plan
            yield from plan.trials
            shared = replace(shared, training={"study": plan.study_id})
        yield shared
        for request in requests:
            yield from self.unlearning(replace(shared, seed=self.seed, forget=request), shared.trial_id, lines)

    def unlearning(self, base: TrialSpec, original_id: str, lines: list[MethodLine]) -> Iterator[TrialSpec]:
        kind = base.request["kind"]
        parents, budget = {"original": original_id}, self.sweep.time_budget.model_dump()
        retrain = replace(base, stage="retrain")
        if any(line.name == "retrain" for line in lines):
            yield retrain
            if budget["unit"] == "seconds":  # the budget is what Retrain was charged
                parents["retrain"] = retrain.trial_id
        base = replace(base, stage="unlearn", retrain_id=retrain.trial_id)
        for line in lines:
            if line.name == "retrain":
                continue
            if line.name == "original":
                yield replace(base, method=line.plugin, parents={"original": original_id})
                continue
            chosen = self.lock.settings(
                self.task.title, self.backbone.title, kind, line.name, line.superloss, line.lora
            )
            yield replace(
                base,
                method=method_plugin(line.name, {**chosen, **line.settings}) if chosen else line.plugin,
                superloss=line.superloss,
                curriculum=line.curriculum,
                lora=line.lora,
                budget=budget,
                parents=parents,
                lock=self.lock.rule if chosen is not None else "",
            )


def training_of(
    sweep: Sweep, task: TaskEntry, backbone: BackboneEntry
) -> tuple[dict[str, Any], dict[str, Any], StudyEntry | None]:
    """How originals are trained, what of each recording is heard, and the search if there is one.

    The backbone's entry wins over the task's, the task's over the sweep's.
    """
    values: dict[str, Any] = {**asdict(Training()), "crop": "none", "clip_seconds": None}
    study: StudyEntry | None = None
    for entry in (sweep.training, task.training or TrainingEntry(), backbone.training or TrainingEntry()):
        values.update({k: v for k, v in entry.model_dump(exclude={"study"}).items() if v is not None})
        study = entry.study or study
    if values["crop"] != "none" and values["clip_seconds"] is None:
        raise ValueError(f"training.crop {values['crop']!r} needs training.clip_seconds; only crop: none does without")
    clip = {"crop": values["crop"], "seconds": values["clip_seconds"]}
    if not values["length_buckets"]:
        del values["length_buckets"]  # a recipe names it only where it is on
    return {k: v for k, v in values.items() if k not in CLIP_KEYS}, clip, study


def loop_of(sweep: Sweep) -> dict[str, Any]:
    """What is the same for every method."""
    loop = {"clip_norm": sweep.clip_norm, "precision": sweep.precision, "threads": sweep.threads_per_trial}
    return {**loop, "compile": True} if sweep.compile else loop


def study_plan(original: TrialSpec, study: StudyEntry) -> StudyPlan:
    """The trials of one search for how to train originals."""
    space = {k: v for k, v in study.model_dump(exclude={"trials", "seed"}).items() if v}
    base = {k: v for k, v in original.training.items() if k not in space}
    parent = replace(original, stage="study", training=base, seed=study.seed, original_seed=study.seed)
    study_id = short_hash({"of": parent.recipe(), "space": space, "trials": study.trials})
    trials = tuple(replace(parent, study={"id": study_id, "trial": n}) for n in range(study.trials))
    return StudyPlan(study_id, space, base, trials)


def _suited(asked: list[Asked], task: PlugIn, backbone: PlugIn, grid: Grid) -> list[PlugIn]:
    """The requests that are made of this pair and can be met, as plug-ins; others are refused with their reason."""
    suited = []
    for request in (a.request for a in asked if a.is_for(task.title, backbone.title)):
        if reason := unsuitable(request, task):
            refusal = Refusal(f"{task.title}: {request.kind} unlearning", reason)
            if refusal not in grid.refused:
                grid.refused.append(refusal)
            continue
        suited.append(PlugIn(name=request.kind, settings=asdict(request), identity=request.identity()))
    return suited


def _task(entry: TaskEntry, grid: Grid) -> PlugIn | None:
    task = plugins.load("tasks", entry.name, **entry.settings)
    try:
        content = task.fingerprint()
    except FileNotFoundError as error:
        grid.refused.append(Refusal(f"task {entry.alias or entry.name}", str(error)))
        content = "absent"
    return PlugIn(
        name=entry.name,
        alias=entry.alias,
        settings=entry.settings,
        identity=task.settings(),
        version=task.version,
        content=content,
    )


def _backbone(entry: BackboneEntry, grid: Grid) -> PlugIn | None:
    backbone = plugins.load("backbones", entry.name, **entry.settings)
    try:
        content = backbone.weights_id()
    except FileNotFoundError as error:
        grid.refused.append(Refusal(f"backbone {entry.alias or entry.name}", str(error)))
        content = "absent"
    paths = ("checkpoint", "revision")  # the weights' id stands for them
    identity = {f.name: getattr(backbone, f.name) for f in fields(backbone) if f.name not in paths}
    return PlugIn(
        name=entry.name,
        alias=entry.alias,
        settings=entry.settings,
        identity=identity,
        version=backbone.version,
        content=content,
    )
