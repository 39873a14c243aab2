"""The preset of SalUn: a mask without the first batch."""

from __future__ import annotations

import pytest
import torch

from methods.engine.losses import cross_entropy
from methods.mubench.salun_mubench import SalUnMubench, all_but_the_first, ranked_mask


def test_salun_drops_the_gradient_of_the_first_batch(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    parameters = list(model.parameters())
    later = list(problem.forget.batches(2))[1:]
    expected = [torch.autograd.grad(cross_entropy(model, batch).mean(), parameters) for batch in later]
    found = all_but_the_first(problem, batch_size=2)
    for got, *wanted in zip(found.values(), *expected, strict=True):
        torch.testing.assert_close(got, sum(wanted))
    assert problem.budget.samples == 6  # the dropped one is paid for


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_salun_ranks_equal_gradients_by_place(value):
    masks = ranked_mask({"a": torch.full((2, 3), value), "b": torch.full((5,), value)}, 0.5)
    assert masks["a"].flatten().tolist() == [True] * 5 + [False]
    assert not masks["b"].any()


def test_salun_moves_the_masked_half_of_the_weights(kit):
    problem = kit.make_problem()
    before = kit.weights(problem.model)
    masks = ranked_mask(all_but_the_first(kit.make_problem(), 2), 0.5)
    kit.run(SalUnMubench(learning_rate=1e-2, batch_size=2), problem)
    for name, value in kit.weights(problem.model).items():
        assert torch.equal(value != before[name], masks[name])
