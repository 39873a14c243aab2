"""States of a training: restoring one repeats what followed it."""

from __future__ import annotations

import copy

import torch

from methods.engine.epoch_state import epoch_state, restore_epoch_state
from methods.engine.records import Outcome


def test_a_restored_state_repeats_weights_draws_and_charges(kit):
    problem, outcome = kit.training_problem(), Outcome(steps=3)
    optimizer = torch.optim.AdamW(problem.model.parameters())
    problem.budget.charge(seconds=2.0, samples=5.0)
    problem.artifacts_to_store["losses"] = torch.arange(3.0)
    state = copy.deepcopy(epoch_state(problem, optimizer, outcome, 2, 0.5, None))
    drawn = torch.rand(3), torch.rand(3, generator=problem.generator)

    other, after = kit.training_problem(), Outcome()
    torch.nn.init.zeros_(next(iter(other.model.parameters())))
    moved = torch.optim.AdamW(other.model.parameters())
    assert restore_epoch_state(state, other, moved, after) == (2, 0.5, None)
    assert torch.equal(torch.rand(3), drawn[0])
    assert torch.equal(torch.rand(3, generator=other.generator), drawn[1])
    assert (other.budget.seconds, other.budget.samples, after.steps) == (2.0, 5.0, 3)
    assert torch.equal(other.artifacts_to_store["losses"], torch.arange(3.0))
    kit.assert_same(other, kit.weights(problem.model))
