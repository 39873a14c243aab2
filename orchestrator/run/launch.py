"""Plan, run, resume and extend: one function each for the CLI and for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.file_names import absolute_path
from orchestrator.plan.cost import Estimate, estimate
from orchestrator.plan.explain import Explanation, explain, planned_trial
from orchestrator.plan.grid import Grid, Refusal, build_grid
from orchestrator.plan.shared_artifacts import Shared, shared_work
from orchestrator.plan.spec import TrialSpec
from orchestrator.plan.sweep_file import read_sweep
from orchestrator.plan.sweep_schema import Sweep, SweepError
from orchestrator.results.store import Store, open_store
from orchestrator.results.sweep_records import record_sweep
from orchestrator.run.progress.observer import SILENT, LaunchObserver, ended_on_error
from orchestrator.run.scheduling.circuit_breaker import ERROR_LIMIT

if TYPE_CHECKING:
    from orchestrator.run.scheduling.dispatcher import Dispatcher
    from orchestrator.run.scheduling.driver_lease import Held
    from orchestrator.run.scheduling.optuna_study import Study


@dataclass(frozen=True)
class LoadedSweep:
    """A checked sweep, and the plain values it came from."""

    sweep: Sweep
    values: Mapping[str, Any]


@dataclass(frozen=True)
class SweepPlan:
    """What a run would do: the grid, what of it is in the store, and what the rest would cost."""

    grid: Grid
    statuses: Mapping[str, str]  # of trials in the store, by id
    estimate: Estimate
    estimate_refused: Estimate  # of the trials that cannot run
    shared: Sequence[Shared]  # what is computed once for many trials

    @property
    def pending(self) -> list[TrialSpec]:
        """Trials that can run and have no row yet."""
        return [spec for spec in self.grid.runnable if spec.trial_id not in self.statuses]


def load_sweep(path: str | Path, overrides: Sequence[str] = ()) -> LoadedSweep:
    """Read and check a sweep file; see `orchestrator.plan.sweep_file.read_sweep`."""
    sweep, values = read_sweep(Path(path), overrides)
    return LoadedSweep(sweep, values)


def plan_sweep(
    loaded: LoadedSweep,
    results: str | Path | None = None,
    cache_dir: str | Path | None = None,
    *,
    check: bool = False,
    cores: int | None = None,
    observer: LaunchObserver = SILENT,
) -> SweepPlan:
    """Plan every trial: which are in the results folder, what shared work is done, and how long the rest takes.

    Trials that cannot run are refused. That is found out for corpora that are in the cache; with `check` the others are
    built for it. The estimate is for `cores` CPU cores, by default those of this machine.
    """
    from orchestrator.digests import default_cache_dir
    from orchestrator.run.check import check_grid, has_corpus
    from orchestrator.run.cores import available_cores

    grid, cache = build_grid(loaded.sweep), absolute_path(cache_dir or default_cache_dir())
    store = open_store(cache if results is None else results)
    check_grid(grid, store, cache, build=check, observer=observer)
    statuses: dict[str, str] = {}
    rows, logits = None, frozenset[str]()
    if results is not None:
        rows = store.rows()
        statuses = dict(zip(rows["trial_id"], rows["status"], strict=True))
        again = store.incomplete()
        statuses = {
            trial_id: status for trial_id, status in statuses.items() if status != "done" or trial_id not in again
        }
        logits = frozenset(name.partition(".")[0] for name in store.files.names("logits"))

    def is_cached(spec: TrialSpec) -> bool:
        from orchestrator.run.setup.feature_cache import are_cached

        return are_cached(spec, cache)

    done = {trial_id for trial_id, status in statuses.items() if status == "done"}
    refused = [spec for spec in grid.trials if spec.trial_id in grid.refused_ids]
    shared = shared_work(grid.runnable, done, logits, is_cached)
    costs = partial(estimate, rows=rows, cores=cores or available_cores())
    pending = costs(grid.runnable, has_corpus=partial(has_corpus, cache), has_features=is_cached)
    return SweepPlan(grid, statuses, pending, costs(refused), shared)


def explain_trial(loaded: LoadedSweep, results: str | Path, prefix: str) -> Explanation:
    """Find the fields of a planned trial's recipe that differ from the closest finished trial of its stage.

    Raises:
        ValueError: no planned trial's id begins so, or several do.
    """
    spec = planned_trial(build_grid(loaded.sweep).trials, prefix)
    rows = open_store(results).rows()
    rows = rows[(rows["status"] == "done") & (rows["stage"] == spec.stage) | (rows["trial_id"] == spec.trial_id)]
    columns = ("trial_id", "status", "stage", "recipe")
    return explain(
        spec, [dict(zip(columns, values, strict=True)) for values in rows[[*columns]].itertuples(index=False)]
    )


def run_sweep(
    loaded: LoadedSweep,
    results: str | Path,
    *,
    executor: Literal["ray", "local"] = "ray",
    address: str | None = None,
    max_concurrent: int | None = None,
    retry_failed: bool = False,
    error_limit: int = ERROR_LIMIT,
    cache_dir: str | Path | None = None,
    observer: LaunchObserver = SILENT,
) -> Dispatcher:
    """Run what is missing of the sweep; the same call resumes and extends. Returns the desk with what became of it.

    Before anything trains the sweep is checked, for which corpora that are not in the cache are built here. Trials that
    cannot run are refused, and the others run. `observer` is told of all that happens: `launch_display()` shows it.

    After `error_limit` trials that failed with the same error, no more are handed out (0: never mind), and
    `Dispatcher.stopped` says why.

    Raises:
        SweepError: when data or models that the sweep names are not at hand.
        ValueError: when another driver works on the results folder.
    """
    from orchestrator.run.scheduling.driver_lease import sole_driver

    grid = build_grid(loaded.sweep)
    with ended_on_error(observer):
        checked(grid, results, cache_dir, observer)
        studies = studies_of(grid) if grid.studies else {}
        with sole_driver(open_store(results).files) as held:
            store = Store(held.files)
            record_sweep(store.files, loaded.sweep.name, loaded.values, [spec.trial_id for spec in grid.runnable])
            return execute(
                grid.runnable,
                studies,
                store,
                loaded.sweep,
                held,
                executor=executor,
                address=address,
                max_concurrent=max_concurrent,
                retry_failed=retry_failed,
                error_limit=error_limit,
                cache_dir=cache_dir,
                observer=observer,
                refused=grid.refused,
            )


def checked(grid: Grid, results: str | Path, cache_dir: str | Path | None, observer: LaunchObserver) -> None:
    """Check a grid before anything of it trains.

    Raises:
        SweepError: data, models or files are not here, or cannot be used.
    """
    from orchestrator.digests import default_cache_dir
    from orchestrator.run.check import check_grid

    require_all_at_hand(grid)
    cache = absolute_path(cache_dir or default_cache_dir())
    check_grid(grid, open_store(results), cache, build=True, observer=observer)
    require_all_at_hand(grid)


def require_all_at_hand(grid: Grid) -> None:
    """Refuse to run a grid of which data, models or files are not here.

    Raises:
        SweepError: with all of them.
    """
    missing = [r for r in grid.refused if r.kind == "input"]
    if missing:
        raise SweepError("\n".join(f"{r.what}: {r.reason}" for r in missing))


def studies_of(grid: Grid) -> dict[str, Study]:
    """The grid's searches for how to train originals, by their id."""
    from orchestrator.run.scheduling.optuna_study import Study

    return {
        plan.study_id: Study(plan.study_id, plan.space, plan.base, plan.trials, target="training")
        for plan in grid.studies.values()
    }


def execute(
    trials: Sequence[TrialSpec],
    studies: Mapping[str, Study],
    store: Store,
    sweep: Sweep,
    held: Held,
    *,
    executor: Literal["ray", "local"],
    address: str | None,
    max_concurrent: int | None,
    retry_failed: bool,
    error_limit: int,
    cache_dir: str | Path | None,
    observer: LaunchObserver,
    prune: bool = False,
    refused: Sequence[Refusal] = (),
) -> Dispatcher:
    """Run trials and searches on the chosen executor. Failed rows are retried on request, or by a newer package."""
    from orchestrator.digests import default_cache_dir
    from orchestrator.run.evaluation.row import package_version
    from orchestrator.run.scheduling.circuit_breaker import Breaker
    from orchestrator.run.scheduling.dispatcher import Dispatcher
    from orchestrator.run.setup.context import Limits, WorkerContext
    from orchestrator.run.setup.scratch import remove_scratch, require_writable

    def again(row: Mapping[str, Any]) -> bool:
        return retry_failed or row["package_version"] != package_version()

    dispatcher = Dispatcher(
        trials,
        studies,
        store,
        refused=refused,
        again=again,
        observer=observer,
        breaker=Breaker(error_limit),
        ours=lambda: not held.lost,
        late=held.is_late,
    )
    limits = Limits(hang_seconds=sweep.hang_seconds, micro_batch=sweep.micro_batch)
    cache = absolute_path(cache_dir or default_cache_dir())
    if not address:
        require_writable(cache)
    context = WorkerContext(store, cache, cache_limit_gb=sweep.cache_limit_gb, limits=limits)
    remove_scratch(store, cache)
    observer.planned(dispatcher.launch())
    if dispatcher.over:
        pass
    elif executor == "local":
        from orchestrator.run.executors.local import run_local

        run_local(dispatcher, context)
    else:
        observer.preparing("Ray")  # its import takes seconds, too
        from orchestrator.run.executors.ray_tune import run_on_ray

        run_on_ray(
            dispatcher,
            context,
            address=address,
            max_concurrent=max_concurrent,
            gpus_per_trial=sweep.gpus_per_trial,
            prune=prune,
        )
    observer.ended(dispatcher.outcome())
    return dispatcher
