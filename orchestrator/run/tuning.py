"""`unlearn tune`: an equal search for every method, on seeds that are never reported; the choices go to a lock file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from orchestrator.errors import Interrupted, StoppedEarly
from orchestrator.plan.grid import Grid, build_grid
from orchestrator.plan.scenarios import each_alone
from orchestrator.plan.spec import TrialSpec, short_hash
from orchestrator.plan.sweep_schema import EvidenceEntry, Sweep, SweepError
from orchestrator.plan.tuned_settings import EVERY, Choice, Lock, write_lock
from orchestrator.results.store import Store, open_store
from orchestrator.results.sweep_records import SEARCH, record_sweep
from orchestrator.run.evaluation.objective import RULES
from orchestrator.run.launch import LoadedSweep, checked, execute, studies_of
from orchestrator.run.progress.observer import SILENT, LaunchObserver, ended_on_error
from orchestrator.run.scheduling.circuit_breaker import ERROR_LIMIT
from orchestrator.run.scheduling.driver_lease import sole_driver
from orchestrator.run.scheduling.optuna_study import Study
from orchestrator.run.search_spaces import RATE_OF, space_of


def tune_sweep(
    loaded: LoadedSweep,
    results: str | Path,
    *,
    trials: int | None = None,
    objective: str | None = None,
    lock: Path | None = None,
    executor: Literal["ray", "local"] = "ray",
    address: str | None = None,
    max_concurrent: int | None = None,
    error_limit: int = ERROR_LIMIT,
    cache_dir: str | Path | None = None,
    observer: LaunchObserver = SILENT,
) -> Lock:
    """Search each method's settings per (task, backbone, kind of unlearning, SuperLoss or not), and write the lock
    file.

    Every search has the same number of trials, the same maximum charge and starts with the method's defaults. With
    several tuning seeds a search's trial n is judged on seed n modulo their number.

    Raises:
        SweepError: nothing to tune, or an unknown objective.
        ValueError: another driver works on the results folder.
        StoppedEarly: the same error in `error_limit` trials, or no room left.
    """
    sweep = loaded.sweep.model_copy(update={"lock": None, "keep_models": "none", "evidence": EvidenceEntry()})
    if unknown := sorted(set(sweep.tuning.spaces) - {entry.name for entry in sweep.methods}):
        raise SweepError(f"tuning.spaces names methods that the sweep has not: got {', '.join(unknown)}")
    count, rule = trials or sweep.tuning.trials, objective or sweep.tuning.objective
    if rule not in RULES:
        raise SweepError(f"unknown objective: got {rule!r}, allowed: {', '.join(RULES)}")
    if rule == "gap_to_retrain" and not any(entry.name == "retrain" for entry in sweep.methods):
        raise SweepError(
            "objective gap_to_retrain needs retrain among the methods: add it, or choose rewind or authors"
        )
    backbones = [b for b in sweep.backbones if sweep.tuning.backbone in (None, b.alias or b.name)]
    if not backbones:
        raise SweepError(f"tuning.backbone is none of the sweep's backbones: got {sweep.tuning.backbone!r}")
    asked = each_alone(sweep.unlearning)  # a step takes what is chosen for its kind
    searched = {"seeds": sweep.tuning.seeds, "backbones": backbones, "unlearning": asked}
    grid = build_grid(sweep.model_copy(update=searched))
    with ended_on_error(observer):
        checked(grid, results, cache_dir, observer)
        studies, specs = _searches(grid, sweep, count, rule)
        if not studies:
            raise SweepError("nothing to tune: no method of the sweep has a space; give it one with tuning.spaces")
        studies |= studies_of(grid)
        if lock:
            lock.parent.mkdir(parents=True, exist_ok=True)  # before the search, not after it
        with sole_driver(open_store(results).files) as held:
            store = Store(held.files)
            record_sweep(store.files, f"{sweep.name}{SEARCH}", loaded.values, [spec.trial_id for spec in specs])
            dispatcher = execute(
                specs,
                studies,
                store,
                sweep,
                held,
                executor=executor,
                address=address,
                max_concurrent=max_concurrent,
                retry_failed=False,
                error_limit=error_limit,
                cache_dir=cache_dir,
                observer=observer,
                prune=sweep.tuning.prune,
                refused=grid.refused,
            )
    if dispatcher.stopped:
        raise StoppedEarly(dispatcher.stopped)
    if not dispatcher.over:
        raise Interrupted(f"{len(dispatcher.graph.pending)} trials are left; give the same command again to go on")
    choices = _choices(studies, EVERY if sweep.tuning.backbone else None)
    if not choices:
        raise SweepError("no search came to a choice; `unlearn status` shows why its trials failed")
    chosen = Lock(rule, count, tuple(sweep.tuning.seeds), tuple(choices))
    if lock:
        write_lock(lock, chosen)
    return chosen


def _searches(grid: Grid, sweep: Sweep, count: int, rule: str) -> tuple[dict[str, Study], list[TrialSpec]]:
    """One search for each line of each table, over the grid's unlearning trials; the other trials stay as they are."""
    lines: dict[str, dict[str, TrialSpec]] = {}
    searches: dict[str, dict[str, Any]] = {}
    others: list[TrialSpec] = []
    spaces = {name: space_of(name, sweep) for name in {s.method.name for s in grid.runnable if s.policy.unlearns}}
    for spec in grid.runnable:
        if spec.policy.unlearns and spaces[spec.method.name]:
            spec = replace(spec, curriculum=None)  # a curriculum gets the settings of the line without
            forget = {k: v for k, v in spec.forget.identity.items() if k != "forget_ratio"} if spec.forget else {}
            line: dict[str, Any] = {
                "task": spec.task.recipe(),
                "backbone": spec.backbone.recipe(),
                "method": spec.method.name,
                "superloss": dict(spec.superloss or {}),
                "budget": dict(spec.budget or {}),
                **({"lora": dict(spec.lora)} if spec.lora else {}),
                **({"training_kind": spec.training_kind.recipe()} if spec.training_kind else {}),
            }
            # One search serves all requests of a kind: more, a lock cannot tell apart.
            key = short_hash({**line, "kind": spec.request["kind"]})
            lines.setdefault(key, {})[spec.trial_id] = spec
            asked = searches.setdefault(key, {**line, "forget": forget})
            if asked["forget"] != forget:
                asked["forget"] = {"kind": spec.request["kind"]}
        elif not spec.policy.unlearns:
            others.append(spec)
    studies: dict[str, Study] = {}
    searched: list[TrialSpec] = []
    for key, found in lines.items():
        members = list(found.values())
        space, defaults = spaces[members[0].method.name], dict(members[0].method.settings)
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
        studies[study_id] = Study(study_id, space, defaults, trials, first=defaults, objective_rule=rule)
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
            continue  # every trial diverged: the defaults stand, and the rows say so
        choices.append(
            Choice(
                task=spec.task.title,
                backbone=serves or spec.backbone.title,
                unlearning=spec.request["kind"],
                method=spec.method.name,
                superloss=bool(spec.superloss),
                lora=bool(spec.lora),
                training=spec.training_title if spec.training_kind else "",
                settings={name: settings[name] for name in (RATE_OF.get(k, k) for k in study.space)},
                objective=_rounded(objective),
                default_objective=_rounded(study.objective_of(0)),
            )
        )
    return choices


def _rounded(objective: float | None) -> float | None:
    return None if objective is None else round(objective, 6)
