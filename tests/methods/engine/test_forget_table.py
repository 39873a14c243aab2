"""Tables of D_f: rows are found by utterance, and rows of D_r are left alone."""

from __future__ import annotations

import torch

from methods.engine.forget_table import ForgetTable


def test_rows_of_the_forget_set_are_replaced_by_utterance_and_others_are_kept(kit):
    problem = kit.make_problem()
    batch = next((problem.forget + problem.retain).batches(64, torch.Generator().manual_seed(1)))
    rows = problem.forget.utterances.flip(0)  # any order
    table = ForgetTable.of(rows, rows[:, None].double() + 0.5)
    target = torch.full((len(batch), 1), -1.0, dtype=torch.float64)
    found = table.put(batch, target)
    assert torch.equal(found[batch.is_forget, 0], batch.utterances[batch.is_forget] + 0.5)
    assert bool((found[~batch.is_forget] == -1).all())
    assert bool((target == -1).all())  # the input is unchanged


def test_a_batch_without_the_forget_set_is_unchanged(kit):
    problem = kit.make_problem()
    table = ForgetTable.of(problem.forget.utterances, torch.zeros(len(problem.forget), 3))
    batch = next(problem.retain.batches(4))
    assert torch.equal(table.put(batch, torch.ones(4, 3)), torch.ones(4, 3))
