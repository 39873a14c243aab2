"""The five methods of arXiv 2506.00848: one step of each equals the step derived by hand in float64."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch

from methods.bad_teacher import BadTeacher
from methods.engine.gradients import summed_gradient
from methods.engine.losses import distillation_loss, label_loss
from methods.grad_ascent import GradAscent
from methods.random_label import RandomLabel, wrong_labels
from methods.salun import SalUn, saliency_mask
from methods.scrub import Scrub


def assert_same(problem, expected, kit):
    for name, value in kit.weights(problem.model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-7, atol=1e-10)


def whole(utterances):
    return next(utterances.batches(64))


def test_grad_ascent_takes_the_step_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    batch = whole(problem.forget)
    loss = -label_loss(model(batch.features, batch.lengths), batch.labels).mean()
    expected = kit.adamw_first_step(model, loss, 1e-3)
    kit.run(GradAscent(learning_rate=1e-3, batch_size=64), problem)
    assert_same(problem, expected, kit)


def test_grad_ascent_stops_ascending_on_utterances_above_max_loss(kit):
    problem = kit.make_problem()
    before = kit.weights(problem.model)
    kit.run(GradAscent(learning_rate=1e-3, max_loss=1e-6), problem)
    assert all(torch.equal(before[name], value) for name, value in kit.weights(problem.model).items())


def test_random_label_takes_the_step_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    generator = torch.Generator().manual_seed(0)
    corrupted = wrong_labels(problem.forget.labels, 3, (), generator)
    forget, retain = whole(problem.forget), whole(problem.retain)
    loss_forget = label_loss(model(forget.features, forget.lengths), corrupted).sum()
    loss_retain = label_loss(model(retain.features, retain.lengths), retain.labels).sum()
    expected = kit.adamw_first_step(model, (loss_forget + 0.5 * loss_retain) / 16, 1e-3)
    kit.run(RandomLabel(learning_rate=1e-3, batch_size=64, retain_weight=0.5), problem)
    assert_same(problem, expected, kit)


def test_random_label_is_never_the_true_one_and_uniform_over_the_others():
    labels = torch.arange(4).repeat(3000)
    drawn = wrong_labels(labels, 4, (), torch.Generator().manual_seed(1))
    assert not (drawn == labels).any()
    counts = Counter(zip(labels.tolist(), drawn.tolist(), strict=True))
    assert len(counts) == 12
    assert all(850 < n < 1150 for n in counts.values())  # 1000 each, 5.8 standard deviations


def test_random_label_avoids_forgotten_classes():
    labels = torch.zeros(500, dtype=torch.long)
    drawn = wrong_labels(labels, 5, (0, 3), torch.Generator().manual_seed(1))
    assert set(drawn.tolist()) == {1, 2, 4}


def test_random_label_says_when_no_wrong_label_is_left():
    with pytest.raises(ValueError, match="no wrong label is left"):
        wrong_labels(torch.tensor([0]), 2, (1,), torch.Generator())


def test_labels_are_redrawn_each_epoch_only_when_requested(kit):
    for redraw, different in ((False, False), (True, True)):
        problem = kit.make_problem(forget=60)
        seen: list[dict[int, int]] = []
        for current in RandomLabel(epochs=2, redraw=redraw).passes(problem):
            labels: dict[int, int] = {}
            original = torch.nn.functional.cross_entropy

            def spy(logits, targets, *args, labels=labels, original=original, **kwargs):
                labels[len(labels)] = targets.tolist()
                return original(logits, targets, *args, **kwargs)

            torch.nn.functional.cross_entropy = spy
            try:
                current.loss(problem.model, whole(problem.forget))
            finally:
                torch.nn.functional.cross_entropy = original
            seen.append(labels[0])
        assert (seen[0] != seen[1]) is different


def test_saliency_mask_keeps_the_largest_share_globally():
    generator = torch.Generator().manual_seed(0)
    gradients = {"a": torch.randn(40, 5, generator=generator), "b": torch.randn(100, generator=generator) * 10}
    before = {name: gradient.clone() for name, gradient in gradients.items()}
    for share in (0.1, 0.5, 0.7, 1.0):
        masks = saliency_mask(gradients, share)
        assert all(torch.equal(gradients[name], before[name]) for name in gradients)
        chosen = torch.cat([m.flatten() for m in masks.values()])
        magnitudes = torch.cat([g.abs().flatten() for g in gradients.values()])
        assert chosen.sum() == round(share * 300)
        if share < 1:
            assert magnitudes[chosen].min() > magnitudes[~chosen].max()


def test_salun_masks_by_the_summed_gradient_of_the_forget_set(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    batch = whole(problem.forget)
    loss = label_loss(model(batch.features, batch.lengths), batch.labels).sum()
    expected = torch.autograd.grad(loss, list(model.parameters()))
    found = summed_gradient(problem, problem.forget, batch_size=4)
    for got, wanted in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(got, wanted)


def test_salun_never_moves_masked_weights_under_adamw_with_weight_decay(kit):
    problem = kit.make_problem()
    before = kit.weights(problem.model)
    masks = saliency_mask(summed_gradient(problem, problem.forget, 32), 0.5)
    method = SalUn(learning_rate=1e-2, epochs=4, batch_size=4)

    class Decaying(SalUn):
        def passes(self, problem):
            from dataclasses import replace

            for current in method.passes(problem):
                yield replace(current, weight_decay=0.5)

    kit.run(Decaying(), problem)
    after = kit.weights(problem.model)
    for name, mask in masks.items():
        assert torch.equal(after[name][~mask], before[name][~mask])
        assert (after[name][mask] != before[name][mask]).all()


def test_salun_with_a_full_mask_is_random_label(kit):
    ends = []
    for method in (
        SalUn(saliency_share=1.0, epochs=2, learning_rate=1e-2),
        RandomLabel(redraw=True, epochs=2, learning_rate=1e-2),
    ):
        problem = kit.make_problem()
        kit.run(method, problem)
        ends.append(kit.weights(problem.model))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_scrub_takes_its_max_step_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    with torch.no_grad():  # at identity the divergence has no gradient: move the student first
        for m in (problem.model, model):
            m.head.weight.add_(0.3 * torch.ones_like(m.head.weight).tril())
    batch = whole(problem.forget)
    loss = -distillation_loss(
        problem.teacher(batch.features, batch.lengths), model(batch.features, batch.lengths), 4.0
    ).mean()
    expected = kit.adamw_first_step(model, loss, 1e-3)
    kit.run(Scrub(learning_rate=1e-3, epochs=0, max_epochs=1, forget_batch_size=64), problem)
    assert_same(problem, expected, kit)


def test_scrub_takes_its_min_step_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    with torch.no_grad():
        for m in (problem.model, model):
            m.head.weight.add_(0.3 * torch.ones_like(m.head.weight).tril())
    batch = whole(problem.retain)
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
    assert_same(problem, expected, kit)


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


def test_bad_teacher_takes_the_step_by_hand(kit):
    problem, model, bad = kit.make_problem(), kit.TwoLayers(), kit.TwoLayers(7)
    with torch.no_grad():
        for m in (problem.model, model):
            m.head.weight.add_(0.3 * torch.ones_like(m.head.weight).tril())
    batch = whole(problem.forget + problem.retain)
    good = problem.teacher(batch.features, batch.lengths)
    teacher = torch.where(batch.is_forget[:, None], bad(batch.features, batch.lengths), good).detach()
    loss = distillation_loss(teacher, model(batch.features, batch.lengths), 1.0)
    weight = torch.where(batch.is_forget, 1.0, 2.0)
    expected = kit.adamw_first_step(model, (weight * loss).sum() / len(batch), 1e-3)
    kit.run(BadTeacher(learning_rate=1e-3, batch_size=64, retain_weight=2.0), problem)
    assert_same(problem, expected, kit)


def test_bad_teacher_takes_a_share_of_the_retain_set(kit):
    problem = kit.make_problem(retain=40)
    (only,) = BadTeacher(retain_share=0.25).passes(problem)
    assert int((~only.over.is_forget).sum()) == 10
    assert int(only.over.is_forget.sum()) == 6


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
    batch = whole(problem.forget)
    loss = -label_loss(model(batch.features, batch.lengths), batch.labels).mean()
    expected = kit.adamw_first_step(model, loss, 1e-3)
    kit.run(Scrub(learning_rate=1e-3, epochs=0, max_epochs=1, forget_batch_size=64, **wording), problem)
    assert_same(problem, expected, kit)

    problem, model = kit.make_problem(), kit.TwoLayers()
    batch = whole(problem.retain)
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
