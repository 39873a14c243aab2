from __future__ import annotations

import pytest
import torch

from methods.engine.losses import label_loss
from methods.eu_k import ExactUnlearning


def test_last_blocks_start_anew_and_take_the_step_by_hand_earlier_ones_keep_every_bit(kit):
    problem, model, fresh = kit.make_problem(), kit.TwoLayers(), kit.TwoLayers(3)  # 3: what the kit's training began at
    before = kit.weights(model)
    model.head.load_state_dict(fresh.head.state_dict())
    batch = next(problem.retain.batches(64))
    loss = label_loss(model(batch.features, batch.lengths), batch.labels).mean()
    expected = kit.adamw_first_step(model, loss, 1e-3)
    kit.run(ExactUnlearning(learning_rate=1e-3, epochs=1, batch_size=64, last_blocks=1), problem)
    after = kit.weights(problem.model)
    for name in ("head.weight", "head.bias"):
        torch.testing.assert_close(after[name], expected[name], rtol=1e-7, atol=1e-10)
    for name in ("body.weight", "body.bias"):
        assert torch.equal(after[name], before[name])


def test_nothing_of_the_original_is_left_in_the_last_blocks(kit):
    ends = []
    for shift in (0.0, 5.0):  # an original with another head, the same body
        problem = kit.make_problem()
        with torch.no_grad():
            problem.model.head.weight += shift
        kit.run(ExactUnlearning(last_blocks=1), problem)
        ends.append(kit.weights(problem.model))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_with_every_block_it_starts_where_retrain_does(kit):
    problem, fresh = kit.make_problem(), kit.weights(kit.TwoLayers(3))
    next(ExactUnlearning(last_blocks=2).passes(problem))
    assert all(torch.equal(value, fresh[name]) for name, value in kit.weights(problem.model).items())


def test_iterates_over_the_retain_set_alone(kit):
    problem = kit.make_problem()
    kit.run(ExactUnlearning(epochs=4, last_blocks=1), problem)
    head = 18 / (25 + 18)  # of the weights; those before it go forward only
    assert problem.budget.samples == pytest.approx(4 * 10 * (1 / 3 + 2 / 3 * head))
