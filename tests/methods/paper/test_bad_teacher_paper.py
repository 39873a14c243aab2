from __future__ import annotations

import torch

from methods.paper.bad_teacher_paper import BadTeacherPaper


def test_the_loss_is_the_divergence_of_the_student_from_its_two_teachers(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    with torch.no_grad():
        for one in (problem.model, model):  # away from the original: a divergence of zero has no gradient
            one.head.weight.mul_(1.5)
    bad = problem.build_model("random").eval()
    losses = []
    for utterances, teacher in ((problem.forget, bad), (problem.retain, problem.teacher)):
        batch = kit.whole(utterances)
        student = model(batch.features, batch.lengths).log_softmax(-1)
        with torch.no_grad():
            wanted = teacher(batch.features, batch.lengths).log_softmax(-1)
        losses.append((student.exp() * (student - wanted)).sum())
    expected = kit.adamw_first_step(model, sum(losses) / 16, 1e-3)
    kit.run(BadTeacherPaper(learning_rate=1e-3, epochs=1, batch_size=64), problem)
    kit.assert_same(problem, expected)
