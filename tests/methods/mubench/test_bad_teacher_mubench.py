"""The preset of Bad-T: raw logits, a partly random teacher and a misplaced retain part."""

from __future__ import annotations

import torch

from methods.mubench.bad_teacher_mubench import BadTeacherMubench, misplaced_retain, partly_reset
from methods.mubench.quirks import raw_logit_kl


def test_bad_teacher_takes_the_step_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    torch.manual_seed(5)
    bad = partly_reset(model)
    generator = torch.Generator().manual_seed(0)
    places = torch.randperm(10, generator=generator)[:6].sort().values
    forget, others = (
        kit.whole(problem.forget),
        kit.whole((problem.forget + problem.retain).select(torch.arange(16) < 16)),
    )
    picked = places  # rows of the corpus are 0 to 15 here, D_f first
    df = raw_logit_kl(bad(forget.features, forget.lengths).detach(), model(forget.features, forget.lengths))
    features, lengths = others.features[picked], others.lengths[picked]
    dr = raw_logit_kl(problem.teacher(features, lengths).detach(), model(features, lengths))
    expected = kit.adamw_first_step(model, df.mean() + dr.mean(), 0.5 * 1e-3)
    torch.manual_seed(5)
    kit.run(BadTeacherMubench(learning_rate=1e-3, batch_size=64, epochs=1), problem)
    kit.assert_same(problem, expected)


def test_bad_teacher_keeps_what_no_leaf_module_can_reset(kit):
    model = kit.TwoLayers()
    model.loose = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    teacher = partly_reset(model)
    assert torch.equal(teacher.loose, model.loose)
    assert not torch.equal(teacher.body.weight, model.body.weight)
    assert torch.equal(kit.TwoLayers().body.weight, model.body.weight)


def test_bad_teacher_keeps_some_of_the_forget_set_for_the_retain_set(kit):
    problem = kit.make_problem(forget=20, retain=30)
    part = misplaced_retain(problem)
    assert len(part) == 20
    assert not part.is_forget.any()
    assert len(set(part.utterances.tolist()) & set(problem.forget.utterances.tolist())) > 0
    assert part.utterances.max() < 30  # places were drawn over |D_r| and looked up in D
