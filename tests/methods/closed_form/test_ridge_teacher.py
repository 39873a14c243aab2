from __future__ import annotations

import pytest
import torch
from torch import nn

from methods.base import Batch
from methods.closed_form.ridge_teacher import layer_statistics, teacher_scores


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
    first = teacher_scores(problem)
    problem.forget = kit.replace(problem.forget, labels=(problem.forget.labels + 1) % 3)
    second = teacher_scores(problem)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_is_charged_as_one_forward_over_all_that_it_reads(kit):
    problem = kit.make_problem()
    teacher_scores(problem)
    assert problem.budget.samples == pytest.approx((6 + 10 + 8) / 3)
