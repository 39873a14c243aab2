"""Check that searches see no recording that is reported: corpora of `tune_on` against those of the task itself."""

from __future__ import annotations

from pathlib import Path

import torch

from orchestrator.plan.entries import TaskLoader, task_plugin
from orchestrator.plan.grid import Grid
from orchestrator.plan.scenarios import ABSENT, read_scenarios
from orchestrator.plan.sweep_schema import Sweep, SweepError
from orchestrator.results.store import Store
from orchestrator.run.check import has_corpus
from orchestrator.run.progress.observer import SILENT, LaunchObserver, preparation
from orchestrator.run.setup.context import WorkerContext
from orchestrator.tasks.overlap import shared_recordings

SHOWN = 3  # shared recordings in an error


def require_other_recordings(
    sweep: Sweep, grid: Grid, store: Store, cache_dir: Path, *, build: bool = True, observer: LaunchObserver = SILENT
) -> None:
    """Compare, by their samples, the recordings of searches with those that are reported, for each task with `tune_on`.

    Args:
        sweep: as it reports.
        grid: of its searches.
        store: the results folder, next to which nodes may share corpora.
        cache_dir: of corpora.
        build: whether corpora that are not in the cache are built; else tasks without them are not compared.
        observer: is told of each corpus that is built.

    Raises:
        SweepError: a recording is in both.
    """
    context = WorkerContext(store, cache_dir, device=torch.device("cpu"))
    titles = [entry.title for entry in sweep.tasks], [entry.title for entry in sweep.backbones]
    scenarios = read_scenarios(sweep.unlearning, *titles)
    loader = TaskLoader()
    tuned = {spec.task.title: spec.task for spec in grid.runnable}
    for entry in sweep.tasks:
        if entry.tune_on is None or entry.title not in tuned:
            continue
        own, other = task_plugin(entry, scenarios, lambda what, reason: None, loader), tuned[entry.title]
        if own.content == ABSENT or not (build or all(has_corpus(cache_dir, task) for task in (own, other))):
            continue
        with preparation(observer, f"the corpus of {entry.title}"):
            both = shared_recordings(context.corpus(own), context.corpus(other))
        if both:
            shown = ", ".join(first if first == second else f"{first} = {second}" for first, second in both[:SHOWN])
            more = f" and {len(both) - SHOWN} more" if len(both) > SHOWN else ""
            raise SweepError(
                f"tune_on of {entry.title} must name other recordings than the task reports on: got {len(both)} in "
                f"both ({shown}{more}); name other speakers, takes or seeds"
            )
