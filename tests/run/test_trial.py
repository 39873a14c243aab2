from __future__ import annotations

import pytest
import torch

from methods.engine.loop import Diverged
from orchestrator import load_sweep, plan_sweep
from orchestrator.results.store import open_store
from orchestrator.run import trial
from orchestrator.run.assignment import Assignment
from orchestrator.run.setup.context import WorkerContext


@pytest.fixture
def original(small_sweep, tmp_path, cache_dir):
    """The trial that trains the original, and the context that it runs in."""
    spec = plan_sweep(load_sweep(small_sweep, ["training.epochs=1"])).grid.trials[0]
    context = WorkerContext(open_store(tmp_path / "r"), cache_dir, torch.device("cpu"))
    return Assignment(spec, spec.training, spec.method.settings), context


def ended(running):
    """Run a trial to its end; return its row."""
    try:
        while True:
            next(running)
    except StopIteration as stopped:
        return stopped.value


def test_a_trial_returns_the_row_that_it_committed(original):
    assignment, context = original
    row = ended(trial.run_trial(assignment, context))
    stored = context.store.row(assignment.spec.trial_id)
    compared = ("status", "finished_at", "recipe", "settings", "test_accuracy", "samples")
    assert row["status"] == "done"
    assert {name: stored[name] for name in compared} == {name: row[name] for name in compared}


def test_the_row_of_a_trial_that_diverges_in_evaluation_has_the_columns_of_the_steps_before(original, monkeypatch):
    def diverged(prepared):
        raise Diverged("a loss is not finite")

    monkeypatch.setattr(trial, "evaluate", diverged)
    assignment, context = original
    row = ended(trial.run_trial(assignment, context))
    assert (row["status"], row["stop_reason"], row["error"]) == ("diverged", "diverged", "a loss is not finite")
    assert row["setup_seconds"] > 0
    assert row["samples"] > 0
    assert "test_accuracy" not in row


def test_a_trial_that_is_stopped_between_two_epochs_is_pruned(original):
    assignment, context = original
    running = trial.run_trial(assignment, context, points=True)
    while next(running).epoch is None:
        pass
    running.close()
    row = context.store.row(assignment.spec.trial_id)
    assert (row["status"], row["stop_reason"]) == ("pruned", "pruned")
    assert row["samples"] > 0
    assert row["test_accuracy"] is None
