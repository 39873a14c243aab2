from __future__ import annotations

import pytest
import torch

from methods.engine.losses import label_loss
from methods.ssd import SelectiveSynapticDampening, dampening_factor


def squared_gradients(model, utterances):
    """Mean over utterances of (∇CE)², each gradient formed alone."""
    total = [torch.zeros_like(p) for p in model.parameters()]
    for batch in utterances.batches(1):
        loss = label_loss(model(batch.features, batch.lengths), batch.labels).sum()
        for t, g in zip(total, torch.autograd.grad(loss, list(model.parameters())), strict=True):
            t += g**2 / len(utterances)
    return total


def test_every_weight_is_dampened_by_the_papers_formula(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    forget = squared_gradients(model, problem.forget)
    everything = squared_gradients(model, problem.forget + problem.retain)
    kit.run(SelectiveSynapticDampening(selection=1.2, dampening=0.9), problem)
    touched = 0
    for p, after, f, d in zip(model.parameters(), problem.model.parameters(), forget, everything, strict=True):
        expected = p.detach().clone()
        for at in torch.cartesian_prod(*(torch.arange(n) for n in p.shape)).reshape(-1, p.ndim).tolist():
            at = tuple(at)
            if f[at] > 1.2 * d[at]:
                expected[at] *= min(0.9 * float(d[at] / f[at]), 1.0)
                touched += 1
        torch.testing.assert_close(after.detach(), expected, rtol=1e-12, atol=1e-15)
    assert 0 < touched < sum(p.numel() for p in model.parameters())


def test_the_factor_never_grows_a_weight_and_spares_what_is_not_selected():
    forget = torch.tensor([4.0, 4.0, 1.0, 0.0, 4.0, 4.0])
    everything = torch.tensor([1.0, 3.0, 1.0, 0.0, 0.0, 1.0])
    assert dampening_factor(forget, everything, 2.0, 1.0).tolist() == [0.25, 1.0, 1.0, 1.0, 0.0, 0.25]
    assert dampening_factor(forget, everything, 2.0, 8.0).tolist() == [1.0, 1.0, 1.0, 1.0, 0.0, 1.0]


def test_no_weight_is_selected_above_the_largest_possible_ratio(kit):
    problem = kit.make_problem(forget=6, retain=10)  # I_D ≥ (6 / 16)·I_f, so I_f / I_D ≤ 16 / 6
    before = kit.weights(problem.model)
    kit.run(SelectiveSynapticDampening(selection=16 / 6 + 1e-9), problem)
    assert all(torch.equal(before[name], value) for name, value in kit.weights(problem.model).items())


def test_iterates_over_each_utterance_once_and_takes_no_step(kit):
    problem = kit.make_problem()
    outcome, _ = kit.run(SelectiveSynapticDampening(), problem)
    assert problem.budget.samples == 16
    assert outcome.steps == 0


def test_a_budget_that_ends_inside_the_epoch_leaves_the_original(kit, monkeypatch):
    monkeypatch.setattr("methods.engine.gradients.CHUNK", 4)  # a single batch would be the last
    problem = kit.make_problem(limit=12.0)
    before = kit.weights(problem.model)
    outcome, _ = kit.run(SelectiveSynapticDampening(selection=0.1), problem)
    assert outcome.stop_reason == "budget"
    assert all(torch.equal(before[name], value) for name, value in kit.weights(problem.model).items())


@pytest.mark.parametrize("name", ["selection", "dampening"])
def test_refuses_settings_out_of_range(name):
    with pytest.raises(ValueError, match=f"{name} must be above 0, got 0"):
        SelectiveSynapticDampening(**{name: 0.0})
