"""Bad-T: one step equals the step by hand in float64."""

from __future__ import annotations

import torch

from methods.bad_teacher import BadTeacher
from methods.engine.losses import distillation_loss


def test_bad_teacher_takes_the_step_by_hand(kit):
    problem, model, bad = kit.make_problem(), kit.TwoLayers(), kit.TwoLayers(7)
    with torch.no_grad():
        for m in (problem.model, model):
            m.head.weight.add_(0.3 * torch.ones_like(m.head.weight).tril())
    batch = kit.whole(problem.forget + problem.retain)
    good = problem.teacher(batch.features, batch.lengths)
    teacher = torch.where(batch.is_forget[:, None], bad(batch.features, batch.lengths), good).detach()
    loss = distillation_loss(teacher, model(batch.features, batch.lengths), 1.0)
    weight = torch.where(batch.is_forget, 1.0, 2.0)
    expected = kit.adamw_first_step(model, (weight * loss).sum() / len(batch), 1e-3)
    kit.run(BadTeacher(learning_rate=1e-3, batch_size=64, retain_weight=2.0), problem)
    kit.assert_same(problem, expected)


def test_bad_teacher_takes_a_share_of_the_retain_set(kit):
    problem = kit.make_problem(retain=40)
    (only,) = BadTeacher(retain_share=0.25).passes(problem)
    assert int((~only.over.is_forget).sum()) == 10
    assert int(only.over.is_forget.sum()) == 6
