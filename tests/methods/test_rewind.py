"""Rewind: it starts from a checkpoint of the training and runs the rest of the schedule."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from methods.rewind import Rewind
from methods.trainings.early_checkpoints import EarlyCheckpoints, checkpoint


def test_rewind_starts_from_the_checkpoint_and_trains_for_what_is_left_of_the_schedule(kit):
    trained = kit.training_problem()
    kit.run(EarlyCheckpoints(), trained)
    problem = kit.make_problem()
    problem.original_artifacts = trained.artifacts_to_store
    current = next(Rewind(share=0.6).passes(problem))
    kept = checkpoint(trained.artifacts_to_store, 0.6)
    assert all(torch.equal(value, kept[name]) for name, value in problem.model.state_dict().items())
    assert (current.over, current.epochs) == (problem.retain, 1)
    assert current.learning_rate == pytest.approx(1e-2 * 0.4 / 0.9)  # linear after a tenth of warm-up


def test_rewind_compresses_the_rest_of_the_schedule_into_the_budget(kit):
    trained = kit.training_problem()
    kit.run(EarlyCheckpoints(), trained)

    def epochs(limit):
        problem = kit.make_problem(limit=limit)
        problem.original_artifacts, problem.training = trained.artifacts_to_store, replace(problem.training, epochs=10)
        return next(Rewind(share=0.2).passes(problem)).epochs

    assert (epochs(None), epochs(102.0), epochs(38.0), epochs(1.0)) == (8, 8, 3, 1)  # 10 + 8/3 an epoch


def test_the_epochs_are_those_that_what_is_left_of_the_budget_has_room_for(kit):
    trained = kit.training_problem()
    kit.run(EarlyCheckpoints(), trained)
    problem = kit.make_problem(limit=40.0)
    problem.training = replace(problem.training, epochs=10, keep_epoch="last")
    problem.original_artifacts = trained.artifacts_to_store
    problem.budget.charge(samples=11.0)
    assert next(Rewind(share=0.2).passes(problem)).epochs == 2  # of 10 utterances


def test_a_share_that_was_not_kept_is_refused_in_the_plan_and_at_the_latest_when_it_is_read():
    assert "keep_at (0.2, 0.6), got 0.4" in Rewind(share=0.4).reason_unsupported(
        "early_checkpoints", {"keep_at": (0.2, 0.6)}
    )
    assert Rewind(share=0.4).reason_unsupported("early_checkpoints", {"keep_at": (0.2, 0.4)}) == ""
    assert "early_checkpoints" in Rewind().reason_unsupported("standard", {})
    with pytest.raises(ValueError, match=r"\(0\.2.*\), got 0\.4"):
        checkpoint({"at/0.2/head": torch.zeros(1)}, 0.4)
