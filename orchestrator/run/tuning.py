"""`unlearn tune`: an equal search for every method, on seeds that are never reported; the choices go to a lock file."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from orchestrator.errors import Interrupted, StoppedEarly
from orchestrator.forgetting.requests import size_of
from orchestrator.plan.method_variants import preset_name
from orchestrator.plan.sweep_schema import EvidenceEntry, Sweep, SweepError
from orchestrator.plan.tuned_settings import EVERY, Choice, Lock, write_lock
from orchestrator.results.store import open_store
from orchestrator.results.sweep_records import SEARCH
from orchestrator.run.evaluation.objective import RULES
from orchestrator.run.launch import LaunchOptions, Work, check_inputs, execute, studies_of
from orchestrator.run.planning import LoadedSweep
from orchestrator.run.progress.observer import ended_on_error
from orchestrator.run.search_counts import require_equal_counts
from orchestrator.run.search_spaces import RATE_OF
from orchestrator.run.searches import Searches, search_grid, searches_of
from orchestrator.run.tracking.trackers import check_trackers
from orchestrator.run.tuning_corpora import require_other_recordings


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
    grid = search_grid(sweep)
    with ended_on_error(options.observer):
        check_trackers(sweep.log_to, results)
        check_inputs(grid, results, options)
        require_other_recordings(sweep, grid, open_store(results), options.cache, observer=options.observer)
        searches = searches_of(grid, sweep, count, rule)
        if not searches.studies:
            raise SweepError("nothing to tune: no method of the sweep has a space; give it one with tuning.spaces")
        require_equal_counts(searches, open_store(results).rows())
        studies = {**searches.studies, **studies_of(grid)}
        if lock:
            lock.parent.mkdir(parents=True, exist_ok=True)  # before the search, so that an error costs nothing
        work = Work(searches.trials, studies, grid.refused, prune=sweep.tuning.prune)
        dispatcher = execute(work, loaded, f"{sweep.name}{SEARCH}", results, replace(options, retry_failed=False))
    if dispatcher.stopped:
        raise StoppedEarly(dispatcher.stopped)
    if not dispatcher.over:
        raise Interrupted(f"{len(dispatcher.graph.pending)} trials are left; give the same command again to continue")
    choices = _choices(searches, sweep)
    if not choices:
        raise SweepError("every trial of every search failed or diverged; `unlearn status` shows the errors")
    chosen = Lock(rule, count, tuple(sweep.tuning.seeds), tuple(choices))
    if lock:
        write_lock(lock, chosen)
    return chosen


def _choices(searches: Searches, sweep: Sweep) -> list[Choice]:
    choices = []
    serves = EVERY if sweep.tuning.backbone else None
    elsewhere = {entry.title: entry.tune_on for entry in sweep.tasks if entry.tune_on}
    of_budget = len(sweep.time_budget.each) > 1
    for study_id, study in searches.studies.items():
        spec = study.trials[0]
        tuned_on = elsewhere.get(spec.task.title, {})
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
                given=searches.given[study_id],
                known_share=spec.request.get("known_share"),
                size=size_of(spec.request),
                budget=spec.budget["fraction"] if of_budget and spec.budget else None,
                corpus=spec.task.content if tuned_on else "",
                tuned_on=deepcopy(tuned_on),  # YAML would refer from one choice to another
                settings={name: settings[name] for name in (RATE_OF.get(k, k) for k in study.space)},
                objective=_rounded(objective),
                default_objective=_rounded(study.objective_of(0)),
            )
        )
    return choices


def _rounded(objective: float | None) -> float | None:
    return None if objective is None else round(objective, 6)
