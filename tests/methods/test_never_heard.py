from __future__ import annotations

import pytest
import torch
from torch import nn

from methods.base import Batch
from methods.never_heard import IMPOSSIBLE, fit_ridge, layer_statistics, never_heard, with_bias


def test_the_gradient_of_the_penalised_squares_is_zero():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(40, 6, generator=generator, dtype=torch.float64) * 3 + 5
    labels = torch.arange(40) % 3
    _, head = fit_ridge(vectors, labels, 3, penalties=[1.0, 7.0])
    design = with_bias((vectors - head.centre) / head.scale)
    weights = head.weights.clone().requires_grad_()
    targets = nn.functional.one_hot(labels, 3).double()
    ((design @ weights - targets).square().sum() + 7.0 * weights[:-1].square().sum()).backward()
    torch.testing.assert_close(weights.grad, torch.zeros_like(weights), rtol=0, atol=1e-9)


def test_a_class_that_is_not_there_is_never_said():
    vectors = torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(20) % 2 * 2  # of classes 0, 1, 2
    (head,) = fit_ridge(vectors, labels, 3, penalties=[1.0])
    assert head.absent == (1,)
    assert head.scores(vectors)[:, 1].eq(IMPOSSIBLE).all()
    assert head.scores(vectors).argmax(dim=1).eq(labels).any()


class Layers(nn.Module):
    """Blocks whose outputs are known: frames (B, 2, 1), the same in a tuple, an image (B, 2, 2, 1), and a vector."""

    class Gives(nn.Module):
        def __init__(self, make):
            super().__init__()
            self.make = make

        def forward(self, x):
            return self.make(x)

    def __init__(self):
        super().__init__()
        self.blocks = [
            self.Gives(lambda x: x[:, :, None]),
            self.Gives(lambda x: (2 * x[:, :, None], None)),
            self.Gives(lambda x: torch.stack([x, x + 1], dim=1)[..., None]),
            self.Gives(lambda x: x.sum(dim=1, keepdim=True)),
            nn.Identity(),
        ]

    def embed(self, features, lengths):
        for block in self.blocks[:-1]:
            vector = block(features)
        return vector


def test_statistics_are_means_and_deviations_over_time_of_every_block():
    rows = torch.tensor([[1.0, 3.0], [5.0, 5.0]])
    batch = Batch(rows, torch.full((2,), 2), torch.zeros(2).long(), torch.zeros(2).bool(), torch.arange(2))
    found = layer_statistics(Layers(), batch)
    assert found.tolist() == [
        [2.0, 1.0, 4.0, 2.0, 2.0, 3.0, 1.0, 1.0, 4.0],
        [5.0, 0.0, 10.0, 0.0, 5.0, 6.0, 0.0, 0.0, 10.0],
    ]


def test_the_teacher_does_not_depend_on_the_forget_sets_labels(kit):
    problem = kit.make_problem()
    first = never_heard(problem)
    problem.forget = kit.replace(problem.forget, labels=(problem.forget.labels + 1) % 3)
    second = never_heard(problem)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_is_charged_as_one_forward_over_all_it_hears(kit):
    problem = kit.make_problem()
    never_heard(problem)
    assert problem.meter.samples == pytest.approx((6 + 10 + 8) / 3)
