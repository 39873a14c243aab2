"""A recognizer's teacher: loaded once, frozen, and charged for each forward."""

from __future__ import annotations

import torch
from torch import nn

from methods.base import Batch
from methods.engine.budget import BudgetMeter
from orchestrator.run.setup.recomputed_teacher import RecomputedTeacher


def batch(rows: int) -> Batch:
    features = torch.randn(rows, 3)
    nothing = torch.zeros(rows, dtype=torch.bool)
    return Batch(features, torch.full((rows,), 3), torch.zeros(rows, dtype=torch.long), nothing, torch.arange(rows))


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head, self.dropout = nn.Linear(3, 2), nn.Dropout(0.5)
        self.blocks = [self.head]

    def forward(self, features, lengths):
        return self.dropout(self.head(features))


def test_it_is_loaded_once_and_each_answer_is_a_charged_forward_in_eval_mode() -> None:
    loaded, budget = [], BudgetMeter()

    def load():
        loaded.append(Model())
        return loaded[-1]

    teacher, asked = RecomputedTeacher(load, budget), batch(6)
    with budget.charging():
        first, again = teacher(asked), teacher(asked)
    assert len(loaded) == 1
    assert torch.equal(first, again)
    assert not first.requires_grad
    assert budget.samples == 2 * 6 / 3


def test_loading_changes_no_later_draw() -> None:
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    asked_for = Batch(
        *(torch.zeros(1, 3), torch.ones(1), torch.zeros(1), torch.zeros(1, dtype=torch.bool), torch.zeros(1))
    )
    RecomputedTeacher(Model, BudgetMeter())(asked_for)
    assert torch.equal(torch.rand(2), expected)
