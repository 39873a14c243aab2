from __future__ import annotations

import pytest
import torch

from methods.engine.losses import label_loss
from methods.fine_tune import FineTune
from methods.neg_grad_plus import NegGradPlus


def test_takes_the_step_by_hand_with_weights_alpha_and_one_minus_alpha(kit):
    problem, model = kit.make_problem(forget=8, retain=8), kit.TwoLayers()

    def mean_loss(utterances):
        batch = next(utterances.batches(64))
        return label_loss(model(batch.features, batch.lengths), batch.labels).mean()

    loss = 0.7 * mean_loss(problem.retain) - 0.3 * mean_loss(problem.forget)
    expected = kit.adamw_first_step(model, loss, 1e-3)
    kit.run(NegGradPlus(learning_rate=1e-3, batch_size=64, alpha=0.7), problem)
    for name, value in kit.weights(problem.model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-7)


def test_the_forget_set_is_repeated_so_that_every_step_has_both(kit):
    problem = kit.make_problem(forget=2, retain=12)
    (only,) = NegGradPlus().passes(problem)
    batches = list(only.over.batches(8, problem.generator))
    assert [int(b.is_forget.sum()) for b in batches] == [4, 4, 4]
    kit.run(NegGradPlus(batch_size=8), problem)
    assert problem.budget.samples == 24  # both halves are work


def test_with_alpha_of_one_the_forget_set_pulls_no_weight(kit):
    ends = []
    for method in (NegGradPlus(alpha=1.0, learning_rate=1e-3, batch_size=64), FineTune(learning_rate=1e-3, epochs=1)):
        problem = kit.make_problem()
        kit.run(method, problem)
        ends.append(kit.weights(problem.model))
    for name in ends[0]:
        torch.testing.assert_close(ends[0][name], ends[1][name], rtol=1e-6, atol=1e-7)


def test_forgetting_raises_the_loss_of_the_forget_set_more_than_that_of_the_retain_set(kit):
    problem = kit.make_problem()
    before = [problem.evaluate(s).loss for s in (problem.forget, problem.retain)]
    kit.run(NegGradPlus(learning_rate=1e-2, epochs=20, alpha=0.6), problem)
    after = [problem.evaluate(s).loss for s in (problem.forget, problem.retain)]
    assert after[0] - before[0] > 0.1
    assert after[1] - before[1] < after[0] - before[0]


@pytest.mark.parametrize("alpha", [-0.1, 1.1])
def test_refuses_alpha_outside_its_range(alpha):
    with pytest.raises(ValueError, match=rf"alpha must be in \[0, 1\], got {alpha}"):
        NegGradPlus(alpha=alpha)
