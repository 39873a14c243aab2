from __future__ import annotations

import torch

from methods.bad_teacher_light import BadTeacherLight
from methods.engine.losses import distillation_loss


def test_takes_the_step_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    drawn = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).double()
    batch = next((problem.forget + problem.retain).batches(64))
    teacher = problem.teacher(batch.features, batch.lengths).detach()
    teacher[:6] = drawn
    loss = distillation_loss(teacher, model(batch.features, batch.lengths), 2.0)
    weight = torch.where(batch.is_forget, 1.0, 0.5)
    expected = kit.adamw_first_step(model, (weight * loss).sum() / len(batch), 1e-3)
    kit.run(BadTeacherLight(learning_rate=1e-3, batch_size=64, retain_weight=0.5, temperature=2.0), problem)
    for name, value in kit.weights(problem.model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-7, atol=1e-10)


def test_an_utterance_keeps_its_random_teacher(kit):
    problem = kit.make_problem()
    (only,) = BadTeacherLight().passes(problem)
    whole = next(problem.forget.batches(64))
    again = torch.cat([only.loss(problem.model, batch) for batch in problem.forget.batches(2)])
    torch.testing.assert_close(only.loss(problem.model, whole), again)
