"""The `mubench` presets: the documented deviation of each, in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from methods.engine.loop import Diverged
from methods.engine.losses import cross_entropy, distillation_loss, label_loss
from methods.grad_ascent import GradAscent
from methods.mubench.bad_teacher_mubench import BadTeacherMubench, misplaced_retain, partly_reset
from methods.mubench.grad_ascent_mubench import GradAscentMubench
from methods.mubench.quirks import corrupted_labels, raw_logit_kl
from methods.mubench.random_label_mubench import RandomLabelMubench
from methods.mubench.salun_mubench import SalUnMubench, all_but_the_first, ranked_mask
from methods.mubench.scrub_mubench import ScrubMubench


def whole(utterances):
    return next(utterances.batches(64))


def assert_same(problem, expected, kit):
    for name, value in kit.weights(problem.model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-7, atol=1e-10)


def test_raw_logit_kl_takes_logits_for_probabilities():
    target, student = torch.tensor([[2.0, -3.0, 0.5]]), torch.tensor([[1.0, 4.0, -2.0]])
    expected = 2 * (math.log(2) - 1) + 0.5 * (math.log(0.5) + 2)  # nothing for the negative target
    assert raw_logit_kl(target, student).item() == pytest.approx(expected)
    positive = torch.tensor([[2.0, 0.5, 0.25]])
    reference = torch.nn.KLDivLoss(reduction="sum")(student, positive)
    torch.testing.assert_close(raw_logit_kl(positive, student).squeeze(), reference)


def test_raw_logit_kl_is_no_divergence():
    logits = torch.tensor([[4.0, 1.0, -2.0]], requires_grad=True)
    (at_identity,) = torch.autograd.grad(raw_logit_kl(logits.detach(), logits).sum(), logits)
    assert at_identity.tolist() == [[-4.0, -1.0, 0.0]]  # a true divergence is flat there
    (true,) = torch.autograd.grad(distillation_loss(logits.detach(), logits).sum(), logits)
    torch.testing.assert_close(true, torch.zeros(1, 3))
    assert raw_logit_kl(logits.detach(), logits + 100).item() < -400
    assert torch.isfinite(at_identity).all()


def test_shifted_labels_count_the_labels_of_the_retain_set(kit):
    problem = kit.make_problem()
    problem.retain = problem.retain.select(problem.retain.labels != 1)  # two labels are left of three
    rows, labels = corrupted_labels(problem, "shift")
    assert rows.tolist() == problem.forget.utterances.tolist()
    assert labels.tolist() == [(y + 1) % 2 for y in problem.forget.labels.tolist()]


def test_mirrored_labels_are_refused_where_one_maps_to_itself(kit):
    problem = kit.make_problem()
    with pytest.raises(ValueError, match="corruption: mirror maps the middle class of 3 classes to itself"):
        corrupted_labels(problem, "mirror")
    problem.num_classes = 4
    assert corrupted_labels(problem, "mirror")[1].tolist() == [3 - y for y in problem.forget.labels.tolist()]


def test_grad_ascent_warms_up_and_decays_at_the_training_rate(kit):
    problem = kit.make_problem(forget=8)
    rates = []

    class Watched(GradAscentMubench):
        def passes(self, problem):
            for current in super().passes(problem):
                yield kit.replace(
                    current, after_step=lambda model, optimizer: rates.append(optimizer.param_groups[0]["lr"])
                )

    kit.run(Watched(batch_size=4), problem)
    # 10 steps, the first of them warm-up, and then from 5e-5 down
    assert rates == pytest.approx([2.5e-5] + [5e-5 * (10 - step) / 9 for step in range(1, 10)])
    (only,), (faithful,) = (m.passes(problem) for m in (GradAscentMubench(), GradAscent()))
    assert (only.forget_sign, only.retain_weight, only.loss.__name__) == (-1.0, 0.0, faithful.loss.__name__)


def test_random_label_fits_the_next_label(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    forget, retain = whole(problem.forget), whole(problem.retain)
    loss = label_loss(model(forget.features, forget.lengths), (forget.labels + 1) % 3).sum()
    loss = loss + label_loss(model(retain.features, retain.lengths), retain.labels).sum()
    expected = kit.adamw_first_step(model, loss / 16, 0.5 * 1e-3)  # one step of two is warm-up at half the rate
    kit.run(RandomLabelMubench(learning_rate=1e-3, batch_size=64, epochs=1), problem)
    assert_same(problem, expected, kit)


def test_bad_teacher_takes_the_step_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    torch.manual_seed(5)
    bad = partly_reset(model)
    generator = torch.Generator().manual_seed(0)
    places = torch.randperm(10, generator=generator)[:6].sort().values
    forget, others = whole(problem.forget), whole((problem.forget + problem.retain).select(torch.arange(16) < 16))
    picked = places  # rows of the corpus are 0 to 15 here, D_f first
    df = raw_logit_kl(bad(forget.features, forget.lengths).detach(), model(forget.features, forget.lengths))
    features, lengths = others.features[picked], others.lengths[picked]
    dr = raw_logit_kl(problem.teacher(features, lengths).detach(), model(features, lengths))
    expected = kit.adamw_first_step(model, df.mean() + dr.mean(), 0.5 * 1e-3)
    torch.manual_seed(5)
    kit.run(BadTeacherMubench(learning_rate=1e-3, batch_size=64, epochs=1), problem)
    assert_same(problem, expected, kit)


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


def test_scrub_ascends_first_then_descends_each_with_its_own_optimizer(kit):
    ascend, descend = ScrubMubench(epochs=5).passes(kit.make_problem())
    assert (ascend.name, ascend.epochs, ascend.forget_sign) == ("max", 2, -1.0)
    assert (descend.name, descend.epochs, descend.optimizer) == ("min", 3, "fresh")
    assert bool(ascend.over.is_forget.all())
    assert not bool(descend.over.is_forget.any())


def test_scrub_takes_its_min_step_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    batch = whole(problem.retain)
    student = model(batch.features, batch.lengths)
    kl = raw_logit_kl(problem.teacher(batch.features, batch.lengths).detach(), student)
    loss = (label_loss(student, batch.labels) + kl).mean()
    expected = kit.adamw_first_step(model, loss, 0.5 * 1e-3)
    kit.run(ScrubMubench(learning_rate=1e-3, batch_size=64, epochs=1), problem)
    assert_same(problem, expected, kit)


def test_scrub_moves_away_at_identity_where_a_divergence_would_not(kit):
    problem = kit.make_problem()
    (ascend, _) = ScrubMubench().passes(problem)
    batch = whole(problem.forget)
    gradients = torch.autograd.grad(ascend.loss(problem.model, batch).sum(), list(problem.model.parameters()))
    assert max(float(g.abs().max()) for g in gradients) > 0.1


def test_a_teacher_that_is_not_finite_ends_as_diverged(kit):
    problem = kit.make_problem()
    problem.teacher_logits = lambda batch: torch.full((len(batch), 3), torch.nan, dtype=torch.float64)
    with pytest.raises(Diverged):
        kit.run(ScrubMubench(), problem)


def test_salun_drops_the_gradient_of_the_first_batch(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    parameters = list(model.parameters())
    later = list(problem.forget.batches(2))[1:]
    expected = [torch.autograd.grad(cross_entropy(model, batch).mean(), parameters) for batch in later]
    found = all_but_the_first(problem, batch_size=2)
    for got, *wanted in zip(found.values(), *expected, strict=True):
        torch.testing.assert_close(got, sum(wanted))
    assert problem.budget.samples == 6  # the dropped one is paid for


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_salun_ranks_equal_gradients_by_place(value):
    masks = ranked_mask({"a": torch.full((2, 3), value), "b": torch.full((5,), value)}, 0.5)
    assert masks["a"].flatten().tolist() == [True] * 5 + [False]
    assert not masks["b"].any()


def test_salun_moves_the_masked_half_of_the_weights(kit):
    problem = kit.make_problem()
    before = kit.weights(problem.model)
    masks = ranked_mask(all_but_the_first(kit.make_problem(), 2), 0.5)
    kit.run(SalUnMubench(learning_rate=1e-2, batch_size=2), problem)
    for name, value in kit.weights(problem.model).items():
        assert torch.equal(value != before[name], masks[name])
