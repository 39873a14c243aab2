"""Run, resume or extend a sweep, and execute the trials of a launch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.file_names import absolute_path
from orchestrator.plan.grid import Grid, Refusal, build_grid
from orchestrator.plan.spec import TrialSpec
from orchestrator.plan.sweep_schema import SweepError
from orchestrator.results.store import Store, open_store
from orchestrator.results.sweep_records import record_sweep
from orchestrator.run.planning import LoadedSweep
from orchestrator.run.progress.observer import SILENT, LaunchObserver, ended_on_error
from orchestrator.run.scheduling.circuit_breaker import ERROR_LIMIT
from orchestrator.run.tracking.trackers import check_trackers

if TYPE_CHECKING:
    from orchestrator.run.scheduling.dispatcher import Dispatcher
    from orchestrator.run.scheduling.optuna_study import Study
    from orchestrator.run.setup.context import WorkerContext


@dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """How trials run. Nothing here changes a row."""

    executor: Literal["ray", "local"] = "ray"
    address: str | None = None  # of a Ray cluster; None: this machine
    max_concurrent: int | None = None  # trials that run at once; None: as many as the cluster has room for
    retry_failed: bool = False  # run failed trials again; those of another package version always run again
    error_limit: int = ERROR_LIMIT  # stop after this many trials fail with the same error; 0: never
    cache_dir: str | Path | None = None  # of corpora and features; None: `UNLEARN_CACHE` or the user's cache
    observer: LaunchObserver = SILENT  # is told of everything that happens; `launch_display()` shows it

    @property
    def cache(self) -> Path:
        """The cache folder as an absolute path."""
        from orchestrator.digests import default_cache_dir

        return absolute_path(self.cache_dir or default_cache_dir())


@dataclass(frozen=True)
class Work:
    """The trials and searches of one launch."""

    trials: Sequence[TrialSpec]
    studies: Mapping[str, Study]
    refused: Sequence[Refusal] = ()
    prune: bool = False  # stop trials of a search that are behind at the same budget


def run_sweep(loaded: LoadedSweep, results: str | Path, options: LaunchOptions) -> Dispatcher:
    """Run the trials of a sweep that have no row; return the dispatcher, which has every trial's status.

    See `orchestrator.api.run_sweep`.
    """
    grid = build_grid(loaded.sweep)
    with ended_on_error(options.observer):
        check_trackers(loaded.sweep.log_to, results)
        check_inputs(grid, results, options)
        work = Work(grid.runnable, studies_of(grid) if grid.studies else {}, grid.refused)
        return execute(work, loaded, loaded.sweep.name, results, options)


def check_inputs(grid: Grid, results: str | Path, options: LaunchOptions) -> None:
    """Refuse the trials of a grid that cannot run, for which missing corpora are built.

    Raises:
        SweepError: data, models or files are missing, or cannot be used.
    """
    from orchestrator.run.check import check_grid

    _require_inputs(grid)
    check_grid(grid, open_store(results), options.cache, build=True, observer=options.observer)
    _require_inputs(grid)


def _require_inputs(grid: Grid) -> None:
    missing = [refusal for refusal in grid.refused if refusal.kind == "input"]
    if missing:
        raise SweepError("\n".join(f"{refusal.what}: {refusal.reason}" for refusal in missing))


def studies_of(grid: Grid) -> dict[str, Study]:
    """Return the grid's searches for how to train originals, by their id."""
    from orchestrator.run.scheduling.optuna_study import Study

    return {
        plan.study_id: Study(plan.study_id, plan.space, plan.base, plan.trials, target="training")
        for plan in grid.studies.values()
    }


def execute(work: Work, loaded: LoadedSweep, name: str, results: str | Path, options: LaunchOptions) -> Dispatcher:
    """Run trials and searches as the only driver of the results folder, in which the sweep is recorded as `name`.

    Raises:
        ValueError: another driver uses the results folder.
    """
    from orchestrator.run.evaluation.row import package_version
    from orchestrator.run.scheduling.circuit_breaker import Breaker
    from orchestrator.run.scheduling.dispatcher import Dispatcher
    from orchestrator.run.scheduling.driver_lease import sole_driver
    from orchestrator.run.setup.context import Limits, WorkerContext
    from orchestrator.run.setup.scratch import remove_scratch, require_writable
    from orchestrator.run.tracking.observer import tracked

    def should_retry(row: Mapping[str, Any]) -> bool:
        return options.retry_failed or row["package_version"] != package_version()

    sweep, files = loaded.sweep, open_store(results).files
    with sole_driver(files) as held, tracked(options.observer, sweep.log_to, name, Store(files)) as observer:
        options, store = replace(options, observer=observer), Store(held.files)
        record_sweep(store.files, name, loaded.values, [spec.trial_id for spec in work.trials])
        dispatcher = Dispatcher(
            work.trials,
            work.studies,
            store,
            refused=work.refused,
            should_retry=should_retry,
            observer=options.observer,
            breaker=Breaker(options.error_limit),
            owns_folder=lambda: not held.lost,
            is_late=held.is_late,
        )
        if not options.address:
            require_writable(options.cache)
        limits = Limits(hang_seconds=sweep.hang_seconds, micro_batch=sweep.micro_batch)
        context = WorkerContext(store, options.cache, cache_limit_gb=sweep.cache_limit_gb, limits=limits)
        remove_scratch(store, options.cache)
        options.observer.planned(dispatcher.launch())
        if not dispatcher.over:
            _run_on_executor(dispatcher, context, sweep.gpus_per_trial, work.prune, options)
        options.observer.ended(dispatcher.outcome())
        return dispatcher


def _run_on_executor(
    dispatcher: Dispatcher, context: WorkerContext, gpus_per_trial: float, prune: bool, options: LaunchOptions
) -> None:
    if options.executor == "local":
        from orchestrator.run.executors.local import run_local

        run_local(dispatcher, context)
    else:
        options.observer.preparing("Ray")  # before its import, which takes seconds
        from orchestrator.run.executors.ray_tune import run_on_ray

        run_on_ray(
            dispatcher,
            context,
            address=options.address,
            max_concurrent=options.max_concurrent,
            gpus_per_trial=gpus_per_trial,
            prune=prune,
        )
