"""What `unlearn tune` would do with a sweep that has no lock file yet: its searches, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.file_names import absolute_path
from orchestrator.plan.cost import Estimate, estimate
from orchestrator.plan.grid import Refusal
from orchestrator.plan.sweep_schema import SweepError
from orchestrator.results.store import open_store
from orchestrator.run.check import check_grid, has_corpus
from orchestrator.run.cores import available_cores
from orchestrator.run.planning import LoadedSweep
from orchestrator.run.progress.observer import SILENT, LaunchObserver
from orchestrator.run.searches import search_grid, searches_of
from orchestrator.run.setup.feature_cache import are_cached
from orchestrator.run.tuning_corpora import require_other_recordings


@dataclass(frozen=True)
class PlannedSearches:
    """The searches of a sweep."""

    searches: int
    trials_each: int
    without_space: Sequence[str]  # methods for which nothing is searched
    tuned_on: Mapping[str, Mapping[str, Any]]  # by task: other recordings than those that are reported
    refused: Sequence[Refusal]
    estimate: Estimate  # of their trials, and of originals and retrained models on tuning seeds

    def sentences(self, known: Sequence[Refusal] = ()) -> list[str]:
        """Say it in words, without the refusals that are known."""
        each, told = (
            f"{self.trials_each} trials each (the first has the line's own settings)",
            {r.reason for r in known},
        )
        said = [f"refused in searches: {r.what}: {r.reason}" for r in self.refused if r.reason not in told]
        said += [f"searches, by `unlearn tune`: {self.searches} of {each}; {self.estimate.sentence()}"]
        said += [f"tune_on of {task}: {dict(settings)}" for task, settings in self.tuned_on.items()]
        if self.without_space:
            said.append(f"no search space, so they keep their settings: {', '.join(self.without_space)}")
        return said


def plan_searches(
    loaded: LoadedSweep,
    results: str | Path | None = None,
    cache_dir: str | Path | None = None,
    *,
    check: bool = False,
    cores: int | None = None,
    observer: LaunchObserver = SILENT,
) -> PlannedSearches | None:
    """Plan the searches of a sweep; None if it does not say how to tune, or has a lock file.

    Raises:
        ValueError: as `build_grid`, or a space that the method cannot have.
    """
    from orchestrator.digests import default_cache_dir

    sweep = loaded.sweep
    if "tuning" not in sweep.model_fields_set or sweep.lock:
        return None
    grid, cache = search_grid(sweep), absolute_path(cache_dir or default_cache_dir())
    store = open_store(cache if results is None else results)
    check_grid(grid, store, cache, build=check, observer=observer)
    try:
        require_other_recordings(sweep, grid, store, cache, build=check, observer=observer)
    except SweepError as error:
        grid.refuse("searches", str(error), kind="input")
    found = searches_of(grid, sweep, sweep.tuning.trials, sweep.tuning.objective)
    cost = estimate(
        found.trials if found.studies else (),
        None if results is None else store.rows(),
        cores=cores or available_cores(),
        has_corpus=partial(has_corpus, cache),
        has_features=lambda spec: are_cached(spec, cache),
    )
    elsewhere = {entry.title: entry.tune_on for entry in sweep.tasks if entry.tune_on}
    return PlannedSearches(
        len(found.studies), sweep.tuning.trials, found.without_space, elsewhere, tuple(grid.refused), cost
    )
