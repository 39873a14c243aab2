"""What a launch reports: the same trials, rows and random draws, watched or not."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from simulated_launch import Recorder

from orchestrator import load_sweep, run_sweep
from orchestrator.plan.grid import build_grid
from orchestrator.results.store import open_store
from orchestrator.run.assignment import Assignment
from orchestrator.run.progress.live import LiveDisplay
from orchestrator.run.setup.context import WorkerContext
from orchestrator.run.trial import run_trial

CHOSEN = ["methods=[original, retrain, scrub]", "seeds=[0]", "training.epochs=2"]


@pytest.fixture(scope="module")
def watched(tmp_path_factory, write_small):
    """Events of a launch with a corpus and features of its own."""
    folder, observer = tmp_path_factory.mktemp("watched"), Recorder()
    loaded = load_sweep(write_small(folder), CHOSEN)
    run_sweep(loaded, folder / "r", executor="local", cache_dir=folder / "c", observer=observer)
    return observer


def test_rows_are_equal_with_and_without_a_display(small_sweep, tmp_path, cache_dir, comparable):
    loaded = load_sweep(small_sweep, CHOSEN)
    display = LiveDisplay(Console(force_terminal=True, file=io.StringIO()))
    run_sweep(loaded, tmp_path / "watched", executor="local", cache_dir=cache_dir, observer=display)
    run_sweep(loaded, tmp_path / "silent", executor="local", cache_dir=cache_dir)
    watched, silent = (
        comparable(tmp_path / name).sort_values("trial_id", ignore_index=True) for name in ("watched", "silent")
    )
    assert len(watched) == 4
    assert watched.equals(silent)


def test_an_observer_is_told_what_is_prepared_before_the_first_epoch(watched):
    names = [name for name, _, _ in watched.events]
    assert watched.events[0][:2] == ("preparing", "the corpus of espeak_keywords")
    assert names.index("prepared") < names.index("planned") < names.index("ready") < names.index("started")
    made = [result.preparing for _, result in watched.of("progressed") if result.preparing]
    assert made == ["features of espeak_keywords for logmel_cnn"]  # once, by the first trial


def test_an_observer_is_told_each_phase_epoch_and_accuracy_of_a_trial(watched):
    (train,) = (what for what, spec in watched.of("started") if spec.stage == "train")
    told = [result for what, result in watched.of("progressed") if what == train]
    assert [result.phase for result in told] == ["preparing", "training", "training", "training", "evaluating"]
    assert [(result.epoch, result.epochs) for result in told if result.epoch] == [(1, 2), (2, 2)]
    assert all(0 <= result.accuracy <= 1 for result in told if result.epoch)  # on D_v, which chooses the epoch
    (scrub,) = (what for what, spec in watched.of("started") if spec.method_name == "scrub")
    assert {result.accuracy for what, result in watched.of("progressed") if what == scrub} == {None}  # not measured


def test_an_observer_is_told_how_trials_and_launch_ended(watched):
    assert {what for what, _ in watched.of("started")} == {what for what, _ in watched.of("finished")}
    assert {status for _, status in watched.of("finished")} == {"done"}
    ((_, outcome),) = watched.of("ended")
    assert outcome.counts == {"done": 4}
    assert outcome.is_complete
    assert outcome.exit_code == 0


def test_an_error_before_the_launch_ends_the_display(small_sweep, tmp_path, cache_dir):
    observer = Recorder()
    loaded = load_sweep(small_sweep, ["tasks=[{name: audio_folder, root: missing}]"])
    with pytest.raises(ValueError, match="missing"):
        run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir, observer=observer)
    assert observer.events == [("ended", "", None)]


@pytest.mark.parametrize("searched", [False, True])
def test_only_a_trial_of_a_search_leaves_a_row_when_it_is_dropped_half_way(small_sweep, tmp_path, cache_dir, searched):
    spec = build_grid(load_sweep(small_sweep, CHOSEN).sweep).trials[0]
    context = WorkerContext(open_store(tmp_path), cache_dir)
    results = run_trial(Assignment(spec, spec.training, {}), context, points=searched)
    while not next(results).epoch:
        pass
    results.close()
    row = context.store.row(spec.trial_id)
    assert (row["status"] if row else None) == ("pruned" if searched else None)


def test_the_next_command_names_the_results_folder_as_a_path(watched):
    ((_, launch),) = watched.of("planned")
    assert launch.results.startswith("/")
    assert launch.results.endswith("/r")
