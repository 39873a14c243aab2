from __future__ import annotations

import torch

from methods.engine.losses import label_loss
from methods.fine_tune import FineTune


def test_takes_the_step_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    batch = next(problem.retain.batches(64))
    loss = label_loss(model(batch.features, batch.lengths), batch.labels).mean()
    expected = kit.adamw_first_step(model, loss, 1e-3)
    kit.run(FineTune(learning_rate=1e-3, epochs=1, batch_size=64), problem)
    for name, value in kit.weights(problem.model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-7, atol=1e-10)


def test_iterates_over_the_retain_set_alone(kit):
    problem = kit.make_problem()
    (only,) = FineTune().passes(problem)
    assert only.over is problem.retain
    kit.run(FineTune(epochs=3), problem)
    assert problem.budget.samples == 3 * 10
