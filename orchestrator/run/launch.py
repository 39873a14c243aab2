"""Plan, run, resume and extend: one function each for the CLI and for notebooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.plan.cost import Estimate, estimate
from orchestrator.plan.grid import Grid, Refusal, build_grid
from orchestrator.plan.spec import TrialSpec
from orchestrator.plan.sweep import Sweep, SweepError, read_sweep
from orchestrator.results import Store, open_store, record_sweep

if TYPE_CHECKING:
    from orchestrator.run.desk import Desk
    from orchestrator.run.studies import Study

Heard = Callable[[TrialSpec, Mapping[str, Any]], None]  # hears of each row as it comes


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

    @property
    def pending(self) -> list[TrialSpec]:
        """Trials that have no row yet."""
        return [spec for spec in self.grid.trials if spec.trial_id not in self.statuses]


def load_sweep(path: str | Path, overrides: Sequence[str] = ()) -> LoadedSweep:
    """Read and check a sweep file; see `orchestrator.plan.sweep.read_sweep`."""
    sweep, values = read_sweep(Path(path), overrides)
    return LoadedSweep(sweep, values)


def plan_sweep(loaded: LoadedSweep, results: str | Path | None = None) -> SweepPlan:
    """Every trial of the sweep, and which of them are in the results folder."""
    grid = build_grid(loaded.sweep)
    rows = open_store(results).rows() if results is not None else None
    statuses = {} if rows is None else dict(zip(rows["trial_id"], rows["status"], strict=True))
    return SweepPlan(grid, statuses, estimate(grid.trials, rows))


def run_sweep(
    loaded: LoadedSweep,
    results: str | Path,
    *,
    executor: Literal["ray", "local"] = "ray",
    address: str | None = None,
    max_concurrent: int | None = None,
    retry_failed: bool = False,
    cache_dir: Path | None = None,
    on_planned: Callable[[Desk], None] = lambda desk: None,
    on_settled: Heard = lambda spec, row: None,
) -> Desk:
    """Run what is missing of the sweep; the same call resumes and extends. Returns the desk with what became of it.

    Raises:
        SweepError: when data or models that the sweep names are not at hand.
    """
    from orchestrator.run.studies import Study

    grid = build_grid(loaded.sweep)
    missing = [r for r in grid.refused if r.what.split()[0] in ("task", "backbone")]
    if missing:
        raise SweepError("\n".join(f"{r.what}: {r.reason}" for r in missing))
    store = open_store(results)
    record_sweep(store, loaded.sweep.name, loaded.values, [spec.trial_id for spec in grid.trials])
    studies = {
        plan.study_id: Study(plan.study_id, plan.space, plan.base, plan.trials, target="training")
        for plan in grid.studies.values()
    }
    return execute(
        grid.trials,
        studies,
        store,
        loaded.sweep,
        executor=executor,
        address=address,
        max_concurrent=max_concurrent,
        retry_failed=retry_failed,
        cache_dir=cache_dir,
        on_planned=on_planned,
        on_settled=on_settled,
        refused=grid.refused,
    )


def execute(
    trials: Sequence[TrialSpec],
    studies: Mapping[str, Study],
    store: Store,
    sweep: Sweep,
    *,
    executor: Literal["ray", "local"],
    address: str | None,
    max_concurrent: int | None,
    retry_failed: bool,
    cache_dir: Path | None,
    on_planned: Callable[[Desk], None],
    on_settled: Heard,
    prune: bool = False,
    refused: Sequence[Refusal] = (),
) -> Desk:
    """Run trials and searches on the chosen executor. Failed rows are retried on request, or by a newer package."""

    from orchestrator.run.desk import Desk
    from orchestrator.run.place import Limits, Place, default_cache_dir
    from orchestrator.run.rows import package_version

    def again(row: Mapping[str, Any]) -> bool:
        return retry_failed or row["package_version"] != package_version()

    desk = Desk(trials, studies, store, refused=refused, again=again, on_settled=on_settled)
    limits = Limits(hang_seconds=sweep.hang_seconds, micro_batch=sweep.micro_batch)
    place = Place(store, cache_dir or default_cache_dir(), cache_limit_gb=sweep.cache_limit_gb, limits=limits)
    on_planned(desk)
    if desk.over:
        return desk
    if executor == "local":
        from orchestrator.run.local import run_local

        run_local(desk, place)
    else:
        from orchestrator.run.cluster import run_on_ray

        run_on_ray(
            desk,
            place,
            address=address,
            max_concurrent=max_concurrent,
            gpus_per_trial=sweep.gpus_per_trial,
            prune=prune,
        )
    return desk
