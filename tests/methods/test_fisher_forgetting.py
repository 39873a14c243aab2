from __future__ import annotations

import pytest
import torch

from methods.engine.gradients import empirical_fisher, model_fisher
from methods.fisher_forgetting import FisherForgetting, noise_variance


def test_the_variance_is_alpha_over_the_fisher_information_up_to_a_limit():
    fisher = torch.tensor([4.0, 0.5, 1e-3, 1e-6, 0.0], dtype=torch.float64)
    expected = torch.tensor([0.5, 4.0, 2e3, 1e4, 1e4], dtype=torch.float64)
    torch.testing.assert_close(noise_variance(fisher, 2.0, 5e3), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize(("fisher", "information"), [("empirical", empirical_fisher), ("model", model_fisher)])
def test_the_edit_is_the_noise_by_hand(kit, fisher, information):
    problem, model = kit.make_problem(), kit.TwoLayers()
    expected = information(kit.make_problem(), problem.retain)
    generator = torch.Generator().manual_seed(0)
    kit.run(FisherForgetting(strength=1e-3, max_inverse=50.0, fisher=fisher), problem)
    after = kit.weights(problem.model)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        deviation = (1e-3 / expected[name].clamp(min=1 / 50.0)).sqrt()
        torch.testing.assert_close(after[name], p.detach() + deviation * noise, rtol=1e-6, atol=1e-9)


def test_over_many_draws_the_noise_has_the_variance_of_the_formula(kit):
    problem = kit.make_problem()
    start, fisher = kit.weights(problem.model), empirical_fisher(problem, problem.retain)
    scaled = []
    for seed in range(25):
        problem = kit.make_problem()
        problem.generator.manual_seed(seed)
        kit.run(FisherForgetting(strength=1e-2), problem)
        for name, value in kit.weights(problem.model).items():
            scaled.append(((value - start[name]) ** 2 / noise_variance(fisher[name], 1e-2)).flatten())
    assert len(torch.cat(scaled)) == 25 * 43
    assert abs(float(torch.cat(scaled).mean()) - 1) < 0.2  # four standard errors of √(2 / 1075)


def test_iterates_over_the_retain_set_once_and_takes_no_step(kit):
    problem = kit.make_problem()
    outcome, _ = kit.run(FisherForgetting(), problem)
    assert problem.budget.samples == 10
    assert outcome.steps == 0


def test_a_budget_that_ends_inside_the_epoch_leaves_the_original(kit, monkeypatch):
    monkeypatch.setattr("methods.engine.gradients.CHUNK", 4)  # a single batch would be the last
    problem = kit.make_problem(limit=8.0)
    before = kit.weights(problem.model)
    outcome, _ = kit.run(FisherForgetting(strength=1.0), problem)
    assert outcome.stop_reason == "budget"
    assert all(torch.equal(before[name], value) for name, value in kit.weights(problem.model).items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strength": 0.0}, "strength must be above 0, got 0.0"),
        ({"max_inverse": -1.0}, "max_inverse must be above 0, got -1.0"),
        ({"fisher": "exact"}, "fisher must be empirical or model, got 'exact'"),
    ],
)
def test_refuses_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        FisherForgetting(**settings)
