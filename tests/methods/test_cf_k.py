from __future__ import annotations

import pytest
import torch

from methods.cf_k import CatastrophicForgetting
from methods.engine.losses import label_loss


def test_moves_the_last_blocks_by_hand_and_leaves_earlier_ones_bit_identical(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    batch = next(problem.retain.batches(64))
    loss = label_loss(model(batch.features, batch.lengths), batch.labels).mean()
    expected, before = kit.adamw_first_step(model, loss, 1e-3), kit.weights(model)
    kit.run(CatastrophicForgetting(learning_rate=1e-3, epochs=1, batch_size=64, last_blocks=1), problem)
    after = kit.weights(problem.model)
    for name in ("head.weight", "head.bias"):
        torch.testing.assert_close(after[name], expected[name], rtol=1e-7, atol=1e-10)
    for name in ("body.weight", "body.bias"):
        assert torch.equal(after[name], before[name])


def test_frozen_blocks_get_no_gradient_while_it_runs_and_are_trainable_after(kit):
    problem = kit.make_problem()
    passes = CatastrophicForgetting(last_blocks=1).passes(problem)
    current = next(passes)
    current.loss(problem.model, next(problem.retain.batches(4))).sum().backward()
    assert problem.model.body.weight.grad is None
    assert problem.model.head.weight.grad is not None
    assert list(current.parameters) == list(problem.model.head.parameters())
    assert list(passes) == []
    assert all(p.requires_grad for p in problem.model.parameters())


def test_all_weights_are_trainable_again_after_the_budget_is_spent(kit):
    problem = kit.make_problem(limit=2.0)
    kit.run(CatastrophicForgetting(last_blocks=1, batch_size=2), problem)
    assert all(p.requires_grad for p in problem.model.parameters())


def test_weights_that_were_frozen_before_stay_frozen(kit):
    problem = kit.make_problem()
    problem.model.head.bias.requires_grad_(False)
    problem.model.body.bias.requires_grad_(False)
    before = kit.weights(problem.model)
    kit.run(CatastrophicForgetting(), problem)
    after = kit.weights(problem.model)
    for name in ("head.bias", "body.bias"):
        assert torch.equal(after[name], before[name])
    assert not problem.model.body.bias.requires_grad


@pytest.mark.parametrize("count", [0, 3])
def test_refuses_more_blocks_than_there_are_or_none(kit, count):
    with pytest.raises(ValueError, match=f"last_blocks must be between 1 and the network's 2 blocks, got {count}"):
        next(CatastrophicForgetting(last_blocks=count).passes(kit.make_problem()))
