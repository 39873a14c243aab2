"""GradAscent: one step equals the step by hand in float64, and ascent ends at `max_loss`."""

from __future__ import annotations

import torch

from methods.engine.losses import label_loss
from methods.grad_ascent import GradAscent


def test_grad_ascent_takes_the_step_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    batch = kit.whole(problem.forget)
    loss = -label_loss(model(batch.features, batch.lengths), batch.labels).mean()
    expected = kit.adamw_first_step(model, loss, 1e-3)
    kit.run(GradAscent(learning_rate=1e-3, batch_size=64), problem)
    kit.assert_same(problem, expected)


def test_grad_ascent_stops_ascending_on_utterances_above_max_loss(kit):
    problem = kit.make_problem()
    before = kit.weights(problem.model)
    kit.run(GradAscent(learning_rate=1e-3, max_loss=1e-6), problem)
    assert all(torch.equal(before[name], value) for name, value in kit.weights(problem.model).items())
