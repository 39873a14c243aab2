from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from methods.engine.losses import label_loss
from methods.grad_ascent import GradAscent
from methods.npo import NegativePreference, npo_loss


def moved(problem, *models):
    """At θ₀ the loss cannot be told from gradient ascent: move the student first."""
    with torch.no_grad():
        for m in (problem.model, *models):
            m.head.weight.add_(0.3 * torch.ones_like(m.head.weight).tril())


def test_the_loss_is_the_papers_formula_and_its_gradient_that_of_the_closed_form():
    generator = torch.Generator().manual_seed(0)
    log_p = -torch.rand(8, generator=generator, dtype=torch.float64).requires_grad_() * 3
    reference = -torch.rand(8, generator=generator, dtype=torch.float64) * 3
    for beta in (0.1, 1.0, 5.0):
        written = -2 / beta * torch.log(torch.sigmoid(-beta * (log_p - reference)))
        found = npo_loss(log_p, reference, beta)
        torch.testing.assert_close(found, written)
        assert (found > 0).all()
        (by_autograd,) = torch.autograd.grad(found.sum(), log_p, retain_graph=True)
        p, p_0 = log_p.exp(), reference.exp()
        torch.testing.assert_close(by_autograd, (2 * p**beta / (p**beta + p_0**beta)).detach())


def test_takes_the_step_by_hand_with_cross_entropy_on_as_much_of_the_retain_set(kit):
    problem, model = kit.make_problem(forget=8, retain=8), kit.TwoLayers()
    moved(problem, model)
    forget, retain = next(problem.forget.batches(64)), next(problem.retain.batches(64))
    log_p = functional.log_softmax(model(forget.features, forget.lengths), dim=-1)
    log_p_0 = functional.log_softmax(problem.teacher(forget.features, forget.lengths), dim=-1).detach()
    rows = torch.arange(8)
    ratio = log_p[rows, forget.labels] - log_p_0[rows, forget.labels]
    loss_forget = (-2 / 0.5 * torch.log(torch.sigmoid(-0.5 * ratio))).mean()
    loss_retain = label_loss(model(retain.features, retain.lengths), retain.labels).mean()
    expected = kit.adamw_first_step(model, loss_forget + 3.0 * loss_retain, 1e-3)
    kit.run(NegativePreference(learning_rate=1e-3, epochs=1, batch_size=64, beta=0.5, retain_weight=3.0), problem)
    for name, value in kit.weights(problem.model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("beta", "displaced"), [(1e-7, True), (0.1, False), (5.0, False)])
def test_it_is_gradient_ascent_for_small_beta_and_in_the_first_step_for_any(kit, beta, displaced):
    ends = []
    for method in (
        NegativePreference(learning_rate=1e-3, epochs=1, batch_size=64, beta=beta, retain_weight=0.0),
        GradAscent(learning_rate=1e-3, epochs=1, batch_size=64),
    ):
        problem = kit.make_problem()
        if displaced:
            moved(problem)
        kit.run(method, problem)
        ends.append(kit.weights(problem.model))
    for name in ends[0]:
        torch.testing.assert_close(ends[0][name], ends[1][name], rtol=1e-6, atol=1e-7)


def test_it_stops_where_gradient_ascent_runs_away(kit):
    losses = []
    for method in (
        NegativePreference(learning_rate=1e-2, epochs=300, beta=2.0, retain_weight=0.0),
        GradAscent(learning_rate=1e-2, epochs=300),
    ):
        problem = kit.make_problem()
        kit.run(method, problem)
        losses.append(problem.evaluate(problem.forget).loss)
    assert losses[0] > 2.0  # above log 3: forgotten
    assert losses[0] < 0.5 * losses[1]


def test_the_teacher_is_queried_about_the_forget_set_only(kit):
    problem, queried = kit.make_problem(), []
    teacher = problem.teacher_logits

    def spy(batch):
        queried.append(batch)
        return teacher(batch)

    problem.teacher_logits = spy
    kit.run(NegativePreference(epochs=2), problem)
    assert queried
    assert all(bool(batch.is_forget.all()) for batch in queried)
    assert sorted(torch.cat([b.utterances for b in queried]).tolist()) == sorted([*range(6)] * 2)


def test_refuses_a_beta_of_zero():
    with pytest.raises(ValueError, match="beta must be above 0, got 0"):
        NegativePreference(beta=0.0)


def test_the_original_is_not_consulted_on_a_micro_batch_without_the_forget_set(kit):
    """A Whisper cannot read a batch of no recordings."""
    problem, sizes = kit.make_problem(forget=8, retain=8), []
    teacher = problem.teacher_logits

    def spy(batch):
        sizes.append(len(batch))
        return teacher(batch)

    problem.teacher_logits = spy
    kit.run(NegativePreference(learning_rate=1e-3, epochs=1, batch_size=4), problem, micro_batch=2)
    assert sizes
    assert min(sizes) > 0
