"""SCRUB: each step equals the step by hand in float64, in every order and wording."""

from __future__ import annotations

import copy

import pytest
import torch

from methods.bad_teacher import BadTeacher
from methods.engine.losses import distillation_loss, label_loss
from methods.scrub import Scrub


def test_scrub_takes_its_max_step_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    with torch.no_grad():  # at identity the divergence has no gradient: move the student first
        for m in (problem.model, model):
            m.head.weight.add_(0.3 * torch.ones_like(m.head.weight).tril())
    batch = kit.whole(problem.forget)
    loss = -distillation_loss(
        problem.teacher(batch.features, batch.lengths), model(batch.features, batch.lengths), 4.0
    ).mean()
    expected = kit.adamw_first_step(model, loss, 1e-3)
    kit.run(Scrub(learning_rate=1e-3, epochs=0, max_epochs=1, forget_batch_size=64), problem)
    kit.assert_same(problem, expected)


def test_scrub_takes_its_min_step_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    with torch.no_grad():
        for m in (problem.model, model):
            m.head.weight.add_(0.3 * torch.ones_like(m.head.weight).tril())
    batch = kit.whole(problem.retain)
    student = model(batch.features, batch.lengths)
    kl = distillation_loss(problem.teacher(batch.features, batch.lengths), student, 2.0)
    loss = (0.9 * label_loss(student, batch.labels) + 0.2 * kl).mean()
    expected = kit.adamw_first_step(model, 3.0 * loss, 1e-3)
    method = Scrub(
        learning_rate=1e-3,
        epochs=1,
        max_epochs=0,
        batch_size=64,
        temperature=2.0,
        ce_weight=0.9,
        kl_weight=0.2,
        retain_weight=3.0,
    )
    kit.run(method, problem)
    kit.assert_same(problem, expected)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("alternate", ["max 1", "min 1", "max 2", "min 2", "min 3"]),
        ("ascend_first", ["max 1", "max 2", "min 1", "min 2", "min 3"]),
    ],
)
def test_scrub_orders_its_passes(kit, order, expected):
    passes = list(Scrub(epochs=3, max_epochs=2, order=order).passes(kit.make_problem()))
    assert [p.name for p in passes] == expected
    for p in passes:
        assert (p.forget_sign == -1.0) is p.name.startswith("max")
        assert bool(p.over.is_forget.all()) is p.name.startswith("max")


@pytest.mark.parametrize(
    "method", [Scrub(learning_rate=1e-2), BadTeacher(learning_rate=1e-2)], ids=["scrub", "bad_teacher"]
)
def test_teacher_is_untouched(kit, method):
    problem = kit.make_problem()
    before = copy.deepcopy(problem.teacher.state_dict())
    kit.run(method, problem)
    assert all(torch.equal(before[name], value) for name, value in problem.teacher.state_dict().items())
    assert any(not torch.equal(before[name], value) for name, value in problem.model.state_dict().items())


def test_scrub_in_the_papers_wording_ascends_the_cross_entropy_and_then_keeps_embeddings(kit):
    wording = {"order": "ascend_first", "ascend_on": "cross_entropy", "hold_to": "embeddings"}
    problem, model = kit.make_problem(), kit.TwoLayers()
    batch = kit.whole(problem.forget)
    loss = -label_loss(model(batch.features, batch.lengths), batch.labels).mean()
    expected = kit.adamw_first_step(model, loss, 1e-3)
    kit.run(Scrub(learning_rate=1e-3, epochs=0, max_epochs=1, forget_batch_size=64, **wording), problem)
    kit.assert_same(problem, expected)

    problem, model = kit.make_problem(), kit.TwoLayers()
    batch = kit.whole(problem.retain)
    asked = Scrub(learning_rate=1e-3, epochs=1, max_epochs=0, batch_size=64, kl_weight=0.2, **wording)
    passes = asked.passes(problem)
    (hold,) = passes
    assert problem.budget.samples == pytest.approx(len(problem.retain) / 3)  # f's embeddings, a forward over D_r
    with torch.no_grad():
        for m in (problem.model, model):  # at identity embeddings do not differ: move the student
            m.body.weight.mul_(1.1)
    embedded = model.embed(batch.features, batch.lengths)
    apart = (embedded - problem.teacher.embed(batch.features, batch.lengths)).square().mean(dim=1)
    wanted = label_loss(model.head(embedded), batch.labels) + 0.2 * apart
    assert bool((apart > 0).all())
    shuffled = batch.select(torch.randperm(len(batch), generator=torch.Generator().manual_seed(0)) < 7)
    for part in (batch, shuffled):
        at = torch.searchsorted(batch.utterances, part.utterances)
        torch.testing.assert_close(hold.loss(problem.model, part), wanted[at])


def test_an_unknown_wording_of_scrub_is_refused():
    with pytest.raises(ValueError, match=r"hold_to is unknown: 'head'; choose logits or embeddings"):
        Scrub(hold_to="head")
