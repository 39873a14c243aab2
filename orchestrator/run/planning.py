"""Load, plan and explain a sweep; nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.file_names import absolute_path
from orchestrator.plan.cost import Estimate, estimate
from orchestrator.plan.explain import Explanation, explain, planned_trial
from orchestrator.plan.grid import Grid, build_grid
from orchestrator.plan.shared_artifacts import Shared, shared_work
from orchestrator.plan.spec import TrialSpec
from orchestrator.plan.sweep_file import read_sweep
from orchestrator.plan.sweep_schema import Sweep
from orchestrator.results.store import open_store
from orchestrator.run.progress.observer import SILENT, LaunchObserver


@dataclass(frozen=True)
class LoadedSweep:
    """A checked sweep, and the plain values from which it was made."""

    sweep: Sweep
    values: Mapping[str, Any]


@dataclass(frozen=True)
class SweepPlan:
    """What a run would do: the grid, the trials that are in the store, and the cost of the rest."""

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
    """Plan every trial: what is in the results folder, what shared work is done, and how long the rest takes.

    Trials that cannot run are refused, as far as the corpora in the cache show; `check` builds the others to check them
    too. The estimate is for `cores` CPU cores, by default those of this machine.
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
        logits = frozenset(store.logits.ids())

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
    """Return the fields in which a planned trial's recipe differs from the most similar finished trial of its stage.

    Raises:
        ValueError: no planned trial's id starts with `prefix`, or several do.
    """
    spec = planned_trial(build_grid(loaded.sweep).trials, prefix)
    rows = open_store(results).rows()
    rows = rows[(rows["status"] == "done") & (rows["stage"] == spec.stage) | (rows["trial_id"] == spec.trial_id)]
    columns = ("trial_id", "status", "stage", "recipe")
    return explain(
        spec, [dict(zip(columns, values, strict=True)) for values in rows[[*columns]].itertuples(index=False)]
    )
