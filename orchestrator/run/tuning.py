"""`unlearn tune`: an equal search for every method, on seeds that are never reported; the choices go to a lock file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.errors import Interrupted, StoppedEarly
from orchestrator.plan.grid import Grid, build_grid
from orchestrator.plan.method_variants import preset_name
from orchestrator.plan.scenarios import without_sequences
from orchestrator.plan.spec import TrialSpec, short_hash
from orchestrator.plan.sweep_schema import EvidenceEntry, Sweep, SweepError
from orchestrator.plan.tuned_settings import EVERY, Choice, Lock, write_lock
from orchestrator.results.sweep_records import SEARCH
from orchestrator.run.evaluation.objective import RULES
from orchestrator.run.launch import LaunchOptions, Work, check_inputs, execute, studies_of
from orchestrator.run.planning import LoadedSweep
from orchestrator.run.progress.observer import ended_on_error
from orchestrator.run.scheduling.optuna_study import Study
from orchestrator.run.search_spaces import RATE_OF, space_of
from orchestrator.run.tracking.trackers import check_trackers


def tune_sweep(
    loaded: LoadedSweep,
    results: str | Path,
    options: LaunchOptions,
    *,
    trials: int | None = None,
    objective: str | None = None,
    lock: Path | None = None,
) -> Lock:
    """Search each method's settings, and write the choices to the lock file.

    See `orchestrator.api.tune_sweep`.
    """
    sweep = loaded.sweep.model_copy(update={"lock": None, "keep_models": "none", "evidence": EvidenceEntry()})
    if unknown := sorted(set(sweep.tuning.spaces) - {preset_name(entry) for entry in sweep.methods}):
        raise SweepError(
            f"tuning.spaces names methods that the sweep does not have: got {', '.join(unknown)}; "
            "add them to methods, or remove their spaces"
        )
    count, rule = trials or sweep.tuning.trials, objective or sweep.tuning.objective
    if rule not in RULES:
        raise SweepError(f"unknown objective: got {rule!r}; choose from {', '.join(RULES)}")
    if rule == "gap_to_retrain" and not any(entry.name == "retrain" for entry in sweep.methods):
        raise SweepError(
            "objective gap_to_retrain needs retrain among the methods: got none; add it, or choose rewind or authors"
        )
    backbones = [b for b in sweep.backbones if sweep.tuning.backbone in (None, b.alias or b.name)]
    if not backbones:
        titles = ", ".join(b.alias or b.name for b in sweep.backbones)
        raise SweepError(
            f"tuning.backbone is none of the sweep's backbones: got {sweep.tuning.backbone!r}; choose from {titles}"
        )
    scenarios = without_sequences(sweep.unlearning)  # a request of a sequence gets the choice for its kind
    searched = {"seeds": sweep.tuning.seeds, "backbones": backbones, "unlearning": scenarios}
    grid = build_grid(sweep.model_copy(update=searched))
    with ended_on_error(options.observer):
        check_trackers(sweep.log_to, results)
        check_inputs(grid, results, options)
        studies, specs = _searches(grid, sweep, count, rule)
        if not studies:
            raise SweepError("nothing to tune: no method of the sweep has a space; give it one with tuning.spaces")
        studies |= studies_of(grid)
        if lock:
            lock.parent.mkdir(parents=True, exist_ok=True)  # before the search, so that an error costs nothing
        work = Work(specs, studies, grid.refused, prune=sweep.tuning.prune)
        dispatcher = execute(work, loaded, f"{sweep.name}{SEARCH}", results, replace(options, retry_failed=False))
    if dispatcher.stopped:
        raise StoppedEarly(dispatcher.stopped)
    if not dispatcher.over:
        raise Interrupted(f"{len(dispatcher.graph.pending)} trials are left; give the same command again to continue")
    choices = _choices(studies, EVERY if sweep.tuning.backbone else None)
    if not choices:
        raise SweepError("every trial of every search failed or diverged; `unlearn status` shows the errors")
    chosen = Lock(rule, count, tuple(sweep.tuning.seeds), tuple(choices))
    if lock:
        write_lock(lock, chosen)
    return chosen


def _searches(grid: Grid, sweep: Sweep, count: int, rule: str) -> tuple[dict[str, Study], list[TrialSpec]]:
    """Return one search for each method variant, over the grid's unlearning trials, and all trials to run."""
    lines: dict[str, dict[str, TrialSpec]] = {}
    searches: dict[str, dict[str, Any]] = {}
    others: list[TrialSpec] = []
    spaces = {name: space_of(name, sweep) for name in {s.method.name for s in grid.runnable if s.policy.unlearns}}
    for spec in grid.runnable:
        if spec.policy.unlearns and spaces[spec.method.name]:
            spec = replace(spec, curriculum=None)  # a curriculum gets the settings of the variant without one
            forget = {k: v for k, v in spec.forget.identity.items() if k != "forget_ratio"} if spec.forget else {}
            line: dict[str, Any] = {
                "task": spec.task.recipe(),
                "backbone": spec.backbone.recipe(),
                "method": spec.method.name,
                "superloss": dict(spec.superloss or {}),
                "budget": dict(spec.budget or {}),
                **({"lora": dict(spec.lora)} if spec.lora else {}),
                **({"best_epoch": dict(spec.best_epoch)} if spec.best_epoch else {}),
                **({"training_kind": spec.training_kind.recipe()} if spec.training_kind else {}),
            }
            # One search for all requests of a kind, which is all that a lock file distinguishes.
            key = short_hash({**line, "kind": spec.request["kind"]})
            lines.setdefault(key, {})[spec.trial_id] = spec
            search = searches.setdefault(key, {**line, "forget": forget})
            if search["forget"] != forget:
                search["forget"] = {"kind": spec.request["kind"]}
        elif not spec.policy.unlearns:
            others.append(spec)
    studies: dict[str, Study] = {}
    searched: list[TrialSpec] = []
    for key, found in lines.items():
        members = list(found.values())
        space, method = spaces[members[0].method.name], members[0].method
        defaults = dict(method.settings)  # without what was added later and is searched now
        first = {name: getattr(method.instance, name) for name in space if name not in defaults} | defaults
        study_id = short_hash(
            {
                "of": short_hash(searches[key]),
                "space": space,
                "trials": count,
                "rule": rule,
                "members": sorted(m.trial_id for m in members),
            }
        )
        trials = tuple(
            _tuning_trial(members[n % len(members)], {"id": study_id, "trial": n}, rule) for n in range(count)
        )
        studies[study_id] = Study(study_id, space, defaults, trials, first=first, objective_rule=rule)
        searched += trials
    return studies, others + searched


def _tuning_trial(member: TrialSpec, study: dict[str, Any], rule: str) -> TrialSpec:
    parents = {**member.parents, **({"retrain": member.retrain_id} if rule == "gap_to_retrain" else {})}
    return replace(member, stage="tune", study=study, parents=parents, keep_model=False)


def _choices(studies: Mapping[str, Study], serves: str | None) -> list[Choice]:
    choices = []
    for study in studies.values():
        if study.target != "method":
            continue
        spec = study.trials[0]
        try:
            settings, objective = study.best()
        except ValueError:
            continue  # every trial failed or diverged, as the rows show: the defaults are used
        choices.append(
            Choice(
                task=spec.task.title,
                backbone=serves or spec.backbone.title,
                unlearning=spec.request["kind"],
                method=spec.method.name,
                superloss=bool(spec.superloss),
                lora=bool(spec.lora),
                best_epoch=bool(spec.best_epoch),
                training=spec.training_title if spec.training_kind else "",
                settings={name: settings[name] for name in (RATE_OF.get(k, k) for k in study.space)},
                objective=_rounded(objective),
                default_objective=_rounded(study.objective_of(0)),
            )
        )
    return choices


def _rounded(objective: float | None) -> float | None:
    return None if objective is None else round(objective, 6)
