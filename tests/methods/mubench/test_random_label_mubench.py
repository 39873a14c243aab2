"""The preset of RandLabel: the next label in place of a random one."""

from __future__ import annotations

from methods.engine.losses import label_loss
from methods.mubench.random_label_mubench import RandomLabelMubench


def test_random_label_fits_the_next_label(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    forget, retain = kit.whole(problem.forget), kit.whole(problem.retain)
    loss = label_loss(model(forget.features, forget.lengths), (forget.labels + 1) % 3).sum()
    loss = loss + label_loss(model(retain.features, retain.lengths), retain.labels).sum()
    expected = kit.adamw_first_step(model, loss / 16, 0.5 * 1e-3)  # one step of two is warm-up at half the rate
    kit.run(RandomLabelMubench(learning_rate=1e-3, batch_size=64, epochs=1), problem)
    kit.assert_same(problem, expected)
