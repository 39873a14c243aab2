from __future__ import annotations

import pytest
import torch

from methods.engine.losses import label_loss
from methods.msg import Msg, layer_weights, smallest


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.3, 3), (1.0, 10)])
def test_smallest_entries_by_magnitude(share, count):
    gradient = torch.tensor([[3.0, -1.0, 2.0, -9.0, 5.0], [0.5, -7.0, 8.0, 4.0, 6.0]])
    mask = smallest(gradient, share)
    assert mask.sum() == count
    if 0 < count < 10:
        assert gradient[mask].abs().max() < gradient[~mask].abs().min()


def test_draws_anew_what_neither_set_pulls_at_in_each_layer(kit):
    problem, model = kit.make_problem(forget=6, retain=6), kit.TwoLayers()  # so the part of D_r is all of it
    forget, retain = (next(s.batches(64)) for s in (problem.forget, problem.retain))
    pull = label_loss(model(retain.features, retain.lengths), retain.labels).sum()
    pull = pull - label_loss(model(forget.features, forget.lengths), forget.labels).sum()
    names = list(layer_weights(model))
    assert names == ["body.weight", "head.weight"]
    gradients = torch.autograd.grad(pull, list(layer_weights(model).values()))
    before = kit.weights(problem.model)
    Msg(reinitialized_share=0.4).reinitialize(problem)
    after = kit.weights(problem.model)
    for name, gradient in zip(names, gradients, strict=True):
        changed = after[name] != before[name]
        assert torch.equal(changed, smallest(gradient, 0.4))
    assert torch.equal(after["body.bias"], before["body.bias"])
    assert problem.budget.samples == 12


def test_weights_that_were_kept_take_a_tenth_of_the_step(kit):
    problem = kit.make_problem()
    starts = []
    method = Msg(learning_rate=1e-3, epochs=1, batch_size=64)

    class Watched(Msg):
        def passes(self, problem):
            fresh = method.reinitialize(kit.make_problem())
            for current in method.passes(problem):
                starts.append((fresh, kit.weights(problem.model)))
                yield current

    kit.run(Watched(), problem)
    ((fresh, start),) = starts
    reference = kit.TwoLayers()
    reference.load_state_dict(start)
    batch = next(problem.retain.batches(64))
    loss = label_loss(reference(batch.features, batch.lengths), batch.labels).mean()
    full = kit.adamw_first_step(reference, loss, 1e-3)
    for name, value in kit.weights(problem.model).items():
        step = full[name] - start[name]
        mask = fresh.get(name, torch.zeros_like(step, dtype=torch.bool))
        torch.testing.assert_close(value, start[name] + torch.where(mask, step, 0.1 * step), rtol=1e-7, atol=1e-10)


def test_a_share_above_one_is_refused():
    with pytest.raises(ValueError, match=r"reinitialized_share must be in .*got 1.5"):
        Msg(reinitialized_share=1.5)
