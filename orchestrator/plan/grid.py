"""Expand a sweep into its trials, in the order in which they run."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from orchestrator.forgetting.requests import size_of
from orchestrator.plan.answer_kinds import not_applicable, reason_untrainable, target_of_task
from orchestrator.plan.cost import train_gflop
from orchestrator.plan.entries import TaskLoader, backbone_plugin, require_lock_of_these_recordings, task_plugin
from orchestrator.plan.method_variants import MethodVariant, method_plugin, method_variants, with_choice
from orchestrator.plan.originals import STANDARD, StudyPlan, study_plan, training_of, training_plugin
from orchestrator.plan.plug_in_keys import BackboneEntry, TaskEntry
from orchestrator.plan.scenarios import ABSENT, Scenario, read_scenarios, reason_unfit, reason_unsuitable
from orchestrator.plan.spec import PlugIn, TrialSpec
from orchestrator.plan.sweep_schema import Sweep
from orchestrator.plan.training_keys import TrainingVariant
from orchestrator.plan.tuned_settings import Lock, read_lock

RefusalKind = Literal["input", "combination"]
"""`input`: data, weights or a file that is missing or unusable, which stops a launch before it starts. `combination`:
parts of the sweep that do not fit together, which are left out while the others run."""


@dataclass(frozen=True)
class Refusal:
    """A part of the grid that cannot run, and the reason."""

    what: str
    reason: str
    trials: int = 0  # planned trials that are left out for it
    kind: RefusalKind = "combination"


@dataclass
class Grid:
    """All trials of a sweep, parents before children, with the refused ones and the reasons."""

    trials: list[TrialSpec] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    studies: dict[str, StudyPlan] = field(default_factory=dict)
    refused_ids: set[str] = field(default_factory=set)  # of trials that cannot run

    @property
    def runnable(self) -> list[TrialSpec]:
        """Trials that were not refused, in the same order."""
        return [spec for spec in self.trials if spec.trial_id not in self.refused_ids]

    def refuse(self, what: str, reason: str, trials: int = 0, kind: RefusalKind = "combination") -> None:
        """Record once that a part cannot run."""
        refusal = Refusal(what, reason, trials, kind)
        if refusal not in self.refused:
            self.refused.append(refusal)

    def refuse_trials(self, trial_ids: Iterable[str]) -> None:
        """Refuse trials, those that depend on them, and the originals and studies that no other trial needs."""
        self.refused_ids.update(trial_ids)
        if not self.refused_ids:
            return
        for spec in self.trials:
            if not self.refused_ids.isdisjoint(spec.parents.values()):
                self.refused_ids.add(spec.trial_id)
        needed = {parent for spec in self.trials for parent in spec.parents.values()}
        needed -= {parent for spec in self.runnable for parent in spec.parents.values()}
        self.refused_ids.update(s.trial_id for s in self.trials if s.policy.keeps_model and s.trial_id in needed)
        searched = {spec.training.get("study") for spec in self.runnable}
        self.refused_ids.update(s.trial_id for s in self.trials if s.study and s.study["id"] not in searched)
        self.studies = {study_id: plan for study_id, plan in self.studies.items() if study_id in searched}


def build_grid(sweep: Sweep) -> Grid:
    """Plan all trials of a sweep. Read nothing but sizes and digests of files that tasks and checkpoints name.

    Raises:
        ValueError: an unknown plug-in or setting, a setting out of range, or a lock file that does not exist or
            was made on other recordings than the sweep says.
    """
    lock = read_lock(Path(sweep.lock)) if sweep.lock else Lock()
    titles = [[entry.title for entry in entries] for entries in (sweep.tasks, sweep.backbones)]
    scenarios = read_scenarios(sweep.unlearning, *titles)
    require_lock_of_these_recordings(sweep, lock, scenarios, loader := TaskLoader())
    variants = [variant for entry in sweep.methods for variant in method_variants(entry, sweep.selection)]
    missing = dict.fromkeys(scenario.missing for scenario in scenarios if scenario.missing)
    grid = Grid(refused=[Refusal(f"file of {sweep.name}", reason, kind="input") for reason in missing])
    trainings = [
        (entry, kind, [variant for variant in variants if _suits(variant, entry, kind, grid)])
        for entry in sweep.each_training
        for kind in [training_plugin(entry)]
    ]
    refuse = partial(grid.refuse, kind="input")
    tasks = [(entry, task_plugin(entry, scenarios, refuse, loader)) for entry in sweep.tasks]
    backbones = [(entry, backbone_plugin(entry, refuse)) for entry in sweep.backbones]
    backbones.sort(key=lambda pair: -train_gflop(pair[1], 1.0))  # the slowest first; the sort is stable
    pairs = [
        (backbone_entry, backbone, task_entry, task, _resolved(scenarios, task, backbone, grid))
        for (backbone_entry, backbone), (task_entry, task) in itertools.product(backbones, tasks)
    ]
    seen: set[str] = set()
    for seed in sweep.seeds:  # the first seed of all cells before the second of any
        for backbone_entry, backbone, task_entry, task, resolved in pairs:
            for training, kind, suited in trainings:
                cell = _Cell(sweep, training, kind, task_entry, task, backbone_entry, backbone, seed, lock, grid)
                for spec in cell.trials(resolved, suited):
                    if spec.trial_id not in seen:  # originals are shared when original_seed is fixed
                        seen.add(spec.trial_id)
                        grid.trials.append(spec)
    started_from = {spec.parents["step"] for spec in grid.trials if "step" in spec.parents}
    grid.trials = [replace(spec, is_start=True) if spec.trial_id in started_from else spec for spec in grid.trials]
    grid.refuse_trials([spec.trial_id for spec in grid.trials if _is_absent(spec)])
    return grid


def _is_absent(spec: TrialSpec) -> bool:
    """Return whether data, weights or a file of the trial are missing on this machine."""
    files = [request.settings.get("file_sha256") for request in (*spec.before, *([spec.forget] if spec.forget else []))]
    return ABSENT in (spec.task.content, spec.backbone.content, *files)


@dataclass(frozen=True)
class ResolvedScenario:
    """A scenario on one task and backbone, with its requests as plug-ins."""

    scenario: Scenario
    steps: tuple[PlugIn, ...]

    @property
    def sequence(self) -> dict[str, Any] | None:
        """Name and length of a sequence, for rows; None for a single request."""
        return {"name": self.scenario.name, "steps": len(self.steps)} if len(self.steps) > 1 else None


@dataclass
class _Cell:
    """One task, backbone, seed and training: its original, and the trials that start from it."""

    sweep: Sweep
    training: TrainingVariant
    kind: PlugIn | None
    task_entry: TaskEntry
    task: PlugIn
    backbone_entry: BackboneEntry
    backbone: PlugIn
    seed: int
    lock: Lock
    grid: Grid

    def trials(self, scenarios: list[ResolvedScenario], variants: list[MethodVariant]) -> Iterator[TrialSpec]:
        """Yield the trials of the cell, parents before children."""
        if not scenarios:
            return
        training, clip, study = training_of(self.training, self.task_entry, self.backbone_entry)
        if reason := reason_untrainable(self.task, self.kind or STANDARD, training, clip):
            self.grid.refuse(f"{self.task.title} on {self.backbone.title}", reason)
            return
        variants = [variant for variant in variants if self._unlearns(variant)]
        original_seed = self.seed if self.sweep.original_seed is None else self.sweep.original_seed
        shared = TrialSpec(
            stage="train",
            task=self.task,
            backbone=self.backbone,
            method=method_plugin("retrain", {}),
            seed=original_seed,
            original_seed=original_seed,
            training=training,
            training_kind=self.kind,
            clip=clip,
            loop=loop_of(self.sweep),
            sweep=self.sweep.name,
            keep_model=self.sweep.keep_models == "final" and self._can_be_kept(),
            evidence=self._evidence(),
            curves=self.sweep.curves.model_dump(),
        )
        if study:
            plan = study_plan(replace(shared, keep_model=False, evidence=None), study)
            self.grid.studies[plan.study_id] = plan
            yield from plan.trials
            shared = replace(shared, training={"study": plan.study_id})
        yield shared
        for resolved in scenarios:
            last: dict[tuple[int, int], str] = {}
            for done, step in enumerate(resolved.steps):
                before, sequence = resolved.steps[:done], resolved.sequence
                base = shared.but(seed=self.seed, forget=step, before=before, sequence=sequence)
                yield from self._request_trials(base, shared.trial_id, variants, last)

    def _unlearns(self, variant: MethodVariant) -> bool:
        """Return whether a method applies to what the task's models answer with; record a refusal otherwise."""
        reason = variant.plugin.instance.reason_target_unsupported(target_of_task(self.task))
        if reason:
            self.grid.refuse(f"{variant.name} on {self.task.title}", reason)
        return not reason

    def _evidence(self) -> dict[str, Any] | None:
        """Return the requested tests that the task's models have; record a refusal of each other one."""
        requested = self.sweep.evidence.requested()
        missing = not_applicable(self.task, requested)
        for name, reason in missing.items():
            self.grid.refuse(f"evidence {name} on {self.task.title}", reason)
        return requested and {name: value for name, value in requested.items() if name not in missing}

    def _can_be_kept(self) -> bool:
        kind = (self.kind or STANDARD).instance
        if kind.changes_classifier:
            reason = "its classifier is not the backbone's own, and only the latter can be exported"
            self.grid.refuse(f"keep_models after training {self.training.title}", reason)
        return not kind.changes_classifier

    def _request_trials(
        self, base: TrialSpec, original_id: str, variants: list[MethodVariant], last: dict[tuple[int, int], str]
    ) -> Iterator[TrialSpec]:
        """Yield the trials of one request; `last` has the previous trial of each variant and budget, and is updated."""
        parents, budgets = {"original": original_id}, self.sweep.time_budget.each
        retrain = base.but(stage="retrain")
        if any(variant.name == "retrain" for variant in variants):
            yield retrain
            if self.sweep.time_budget.unit == "seconds":  # the budget is what Retrain was charged
                parents["retrain"] = retrain.trial_id
        base = base.but(stage="unlearn", retrain_id=retrain.trial_id)
        for place, variant in enumerate(variants):
            if variant.name == "retrain":
                continue
            if variant.name == "original":
                yield base.but(method=variant.plugin, parents={"original": original_id})
                continue
            if base.before and variant.plugin.instance.requires_training:
                reason = "what training kept still includes what earlier requests forgot"
                self.grid.refuse(f"{variant.name} after the first request of a sequence", reason)
                continue
            for number, budget in enumerate(budgets):
                line = (place, number)
                made = base.but(
                    **variant.modifiers,
                    budget=budget,
                    parents={**parents, "step": last[line]} if line in last else parents,
                    **self._settings(variant, base.request, budget["fraction"]),
                )
                last[line] = made.trial_id
                yield made

    def _settings(self, variant: MethodVariant, request: Mapping[str, Any], budget: float) -> dict[str, Any]:
        """Return the method of a trial with the settings that the lock file chose where the sweep gives none."""
        choice = self.lock.choice(
            self.task.title,
            self.backbone.title,
            request["kind"],
            variant.name,
            modifiers=variant.modifiers,
            training=self.training.title,
            known_share=request.get("known_share"),
            size=size_of(request),
            budget=budget,
            settings=variant.plugin.settings,
        )
        if choice is None:
            return {"method": variant.plugin}
        settings = with_choice(choice.settings, variant.settings)
        tuned = [name for name in choice.settings if name in settings and name not in variant.settings]
        plugin = method_plugin(variant.name, settings) if choice.settings else variant.plugin
        return {"method": plugin, "lock": self.lock.said_of(choice, size_of(request)), "tuned": tuple(tuned)}


def _suits(variant: MethodVariant, training: TrainingVariant, plugin: PlugIn | None, grid: Grid) -> bool:
    """Return whether the method finds what it reads next to originals of this training; record a refusal otherwise."""
    kind = (plugin or STANDARD).instance
    reason = variant.plugin.instance.reason_unsupported(
        training.kind, {f.name: getattr(kind, f.name) for f in fields(kind)}
    )
    if reason:
        grid.refuse(f"{variant.name} after training {training.title}", reason)
    return not reason


def loop_of(sweep: Sweep) -> dict[str, Any]:
    """Return the settings of the loop, which all methods share."""
    loop = {"clip_norm": sweep.clip_norm, "precision": sweep.precision, "threads": sweep.threads_per_trial}
    return {**loop, **{key: True for key in ("compile", "deterministic") if getattr(sweep, key)}}


def _resolved(scenarios: list[Scenario], task: PlugIn, backbone: PlugIn, grid: Grid) -> list[ResolvedScenario]:
    """Return the scenarios of a task and backbone, with requests as plug-ins; refuse those that do not fit the task."""
    if reason := reason_unfit(task, backbone):
        grid.refuse(f"{backbone.title} on {task.title}", reason)
        return []
    resolved = []
    for scenario in scenarios:
        if not scenario.is_for(task.title, backbone.title):
            continue
        if reason := reason_unsuitable(scenario, task):
            grid.refuse(f"{task.title}: {scenario.what}", reason)
            continue
        steps = tuple(
            PlugIn(kind="requests", name=r.kind, settings=asdict(r), identity=r.identity()) for r in scenario.requests
        )
        resolved.append(ResolvedScenario(scenario, steps))
    return resolved
