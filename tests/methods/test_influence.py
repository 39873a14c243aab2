from __future__ import annotations

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from methods.engine.losses import label_loss
from methods.influence import Influence, conjugate_gradients, fisher_product, removal_gradient


def gradients(model, utterances):
    """(n, P): the gradient of each utterance's loss."""
    rows = []
    for batch in utterances.batches(1):
        loss = label_loss(model(batch.features, batch.lengths), batch.labels).sum()
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]))
    return torch.stack(rows)


def test_the_edit_is_the_step_with_the_inverse_formed_explicitly(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    of_forget, of_retain = gradients(model, problem.forget), gradients(model, problem.retain)
    fisher = of_retain.T @ of_retain / 10
    inverse = torch.linalg.inv(fisher + 0.5 * torch.eye(len(fisher), dtype=torch.float64))
    target = of_forget.sum(0) / 16 - of_retain.sum(0) * 6 / (16 * 10)
    expected = parameters_to_vector(model.parameters()).detach() + 2.0 * inverse @ target
    kit.run(Influence(step_size=2.0, damping=0.5, fisher_samples=10, iterations=50), problem)
    # The solver stops at a residual of 1e-4.
    torch.testing.assert_close(parameters_to_vector(problem.model.parameters()).detach(), expected, rtol=0, atol=1e-4)
    assert (expected - parameters_to_vector(model.parameters())).abs().max() > 0.1


def test_the_solver_gives_what_woodfishers_recursion_gives_with_every_vector_kept(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    rows = gradients(model, problem.retain)
    inverse = torch.eye(rows.shape[1], dtype=torch.float64)
    for g in rows:  # F⁻¹ ← F⁻¹ − F⁻¹ g gᵀ F⁻¹ / (N + gᵀ F⁻¹ g)
        seen = inverse @ g
        inverse = inverse - torch.outer(seen, seen) / (len(rows) + g @ seen)
    target = torch.randn(rows.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def damped(vector):
        return fisher_product(problem, problem.retain, vector) + vector

    torch.testing.assert_close(conjugate_gradients(damped, target, 50), inverse @ target, rtol=0, atol=1e-3)


def test_conjugate_gradients_are_exact_after_as_many_steps_as_eigenvalues():
    matrix = torch.diag(torch.tensor([1.0, 1.0, 4.0, 4.0, 9.0], dtype=torch.float64))
    right = torch.arange(1.0, 6.0, dtype=torch.float64)
    products = []

    def product(vector):
        products.append(vector)
        return matrix @ vector

    found = conjugate_gradients(product, right, 50)
    torch.testing.assert_close(found, right / matrix.diag(), rtol=1e-10, atol=1e-12)
    assert len(products) == 3
    assert torch.equal(conjugate_gradients(product, torch.zeros(5, dtype=torch.float64), 50), torch.zeros(5).double())


def test_one_step_on_a_quadratic_loss_removes_the_forget_set():
    """Least squares: with the true Hessian in F's place the step lands on the solution without D_f, to first order."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2000, 3, generator=generator, dtype=torch.float64)
    y = x @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) + torch.randn(2000, generator=generator).double()
    full = torch.linalg.lstsq(x, y[:, None]).solution[:, 0]
    without = torch.linalg.lstsq(x[20:], y[20:, None]).solution[:, 0]
    rows = (x @ full - y)[:, None] * x  # gradients of ½(xθ − y)²
    target = removal_gradient(rows[:20].sum(0), rows[20:].sum(0), 20, 1980)
    step = conjugate_gradients(lambda v: x.T @ (x @ v) / 2000, target, 50)
    assert (full + step - without).norm() < 0.1 * (full - without).norm()


def test_the_step_raises_the_loss_of_the_forget_set(kit):
    problem = kit.make_problem()
    before = problem.evaluate(problem.forget).loss
    kit.run(Influence(), problem)
    assert problem.evaluate(problem.forget).loss > before


def test_charges_one_epoch_over_all_data_and_one_over_the_sample_for_each_iteration(kit):
    problem = kit.make_problem()
    outcome, _ = kit.run(Influence(fisher_samples=4, iterations=3, damping=0.1), problem)
    assert problem.budget.samples == 16 + 3 * 4
    assert outcome.steps == 0


def test_a_budget_that_ends_inside_an_epoch_leaves_the_original(kit):
    problem = kit.make_problem(limit=20.0)
    before = kit.weights(problem.model)
    outcome, _ = kit.run(Influence(fisher_samples=4, iterations=3), problem)
    assert outcome.stop_reason == "budget"
    assert all(torch.equal(before[name], value) for name, value in kit.weights(problem.model).items())


@pytest.mark.parametrize("name", ["damping", "fisher_samples", "iterations"])
def test_refuses_settings_out_of_range(name):
    with pytest.raises(ValueError, match=f"{name} must be above 0, got 0"):
        Influence(**{name: 0})
