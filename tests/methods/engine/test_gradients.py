from __future__ import annotations

import pytest
import torch
from torch import nn

from methods.engine.gradients import empirical_fisher, model_fisher, summed_gradient
from methods.engine.losses import label_loss


class Linear(nn.Module):
    """Logistic regression: z = W x, so that ∂CE/∂W = (p − y) xᵀ for each utterance."""

    adapter_targets = ()

    def __init__(self, features: int = 4, classes: int = 3) -> None:
        super().__init__()
        self.head = nn.Linear(features, classes, bias=False, dtype=torch.float64)
        with torch.no_grad():
            self.head.weight.copy_(torch.randn(classes, features, generator=torch.Generator().manual_seed(1)))

    @property
    def blocks(self):
        return [self.head]

    def embed(self, features, lengths):
        return features

    def forward(self, features, lengths):
        return self.head(features)


def regression(kit):
    problem = kit.make_problem()
    problem.model = Linear()
    batch = next(problem.retain.batches(64))
    p = problem.model(batch.features, batch.lengths).softmax(dim=-1).detach()
    return problem, batch.features, p, nn.functional.one_hot(batch.labels, 3).double()


def test_the_sum_of_gradients_is_that_of_one_batch_whatever_the_batch_size(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    batch = next(problem.retain.batches(64))
    loss = label_loss(model(batch.features, batch.lengths), batch.labels).sum()
    expected = torch.autograd.grad(loss, list(model.parameters()))
    for size in (3, 64):
        for got, wanted in zip(summed_gradient(problem, problem.retain, size).values(), expected, strict=True):
            torch.testing.assert_close(got, wanted)
        assert all(p.grad is None for p in problem.model.parameters())


def test_gradients_that_were_there_before_are_no_part_of_the_sum(kit):
    clean, other = kit.make_problem(), kit.make_problem()
    for p in other.model.parameters():
        p.grad = torch.ones_like(p)
    found = summed_gradient(other, other.retain, 4)
    assert all(torch.equal(found[name], g) for name, g in summed_gradient(clean, clean.retain, 4).items())


def test_the_empirical_fisher_of_logistic_regression_is_its_closed_form(kit):
    problem, x, p, y = regression(kit)
    expected = (((p - y) ** 2)[:, :, None] * (x**2)[:, None, :]).mean(dim=0)
    torch.testing.assert_close(empirical_fisher(problem, problem.retain)["head.weight"], expected)


def test_the_models_fisher_of_logistic_regression_is_its_closed_form(kit):
    problem, x, p, _ = regression(kit)
    expected = ((p * (1 - p))[:, :, None] * (x**2)[:, None, :]).mean(dim=0)
    torch.testing.assert_close(model_fisher(problem, problem.retain)["head.weight"], expected)


def test_the_models_fisher_is_charged_a_forward_and_a_backward_for_each_class(kit):
    problem, *_ = regression(kit)
    model_fisher(problem, problem.retain)
    assert problem.budget.samples == pytest.approx(10 * (1 / 3 + 3 * 2 / 3))


def test_a_weight_that_the_loss_does_not_read_has_no_gradient(kit):
    problem, *_ = regression(kit)
    problem.model.unread = nn.Parameter(torch.ones(2, dtype=torch.float64))
    for found in (summed_gradient(problem, problem.retain, 4), empirical_fisher(problem, problem.retain)):
        assert torch.equal(found["unread"], torch.zeros(2, dtype=torch.float64))
        assert (found["head.weight"] != 0).all()
