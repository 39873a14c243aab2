from __future__ import annotations

import torch

from methods.engine.budget import BudgetSpent
from methods.engine.losses import label_loss
from methods.unsir import Impairing, Unsir, noise_loss


def test_noise_loss_is_the_papers(kit):
    problem, batch = kit.make_problem(), next(kit.make_problem().forget.batches(64))
    loss = label_loss(problem.model(batch.features, batch.lengths), batch.labels).mean()
    expected = -loss + 0.3 * (batch.features**2).sum(dim=1).mean()
    torch.testing.assert_close(noise_loss(problem.model, batch, 0.3), expected)


def test_one_step_of_noise_is_adams_first_by_hand(kit):
    problem, generator = kit.make_problem(), torch.Generator().manual_seed(0)
    torch.randperm(6, generator=generator)  # the template's order
    drawn = torch.randn(6, 4, generator=generator).double().requires_grad_()
    noise = Unsir(noise_steps=1, noise_learning_rate=0.1).learned_noise(problem)
    loss = noise_loss(problem.model, kit.replace(noise, features=drawn), 0.1)
    (gradient,) = torch.autograd.grad(loss, drawn)
    torch.testing.assert_close(noise.features, (drawn - 0.1 * gradient / (gradient.abs() + 1e-8)).detach())


def test_learned_noise_is_classified_worse_than_drawn_noise(kit):
    problem = kit.make_problem()
    found = []
    for steps in (0, 40):
        problem.generator.manual_seed(0)
        noise = Unsir(noise_steps=steps, noise_penalty=0.0).learned_noise(problem)
        found.append(float(label_loss(problem.model(noise.features, noise.lengths), noise.labels).mean()))
    assert found[1] > found[0]


def test_noise_steps_are_charged_and_stop_on_the_budget(kit):
    problem = kit.make_problem()
    Unsir(noise_steps=5).learned_noise(problem)
    assert problem.budget.samples == 5 * 6
    problem = kit.make_problem(limit=12.0)
    try:
        Unsir(noise_steps=5).learned_noise(problem)
    except BudgetSpent:
        assert problem.budget.samples == 12
    else:
        raise AssertionError("the budget was ignored")


def test_impair_shows_the_noise_among_every_retained_utterance_once(kit):
    problem = kit.make_problem()
    noise = next(problem.forget.batches(4))
    source = Impairing(noise, 3, problem.retain)
    batches = list(source.batches(4, problem.generator))
    kept = torch.cat([b.utterances for b in batches if b is not noise])
    assert sum(b is noise for b in batches) == 3
    assert kept.sort().values.tolist() == problem.retain.utterances.tolist()
    assert sum(len(b) for b in batches) == len(source)


def test_repairs_on_the_same_part_of_the_retain_set_with_a_fresh_optimizer(kit):
    impair, repair = Unsir(retain_share=0.3).passes(kit.make_problem(retain=20))
    assert impair.over.retain.utterances.tolist() == repair.over.utterances.tolist()
    assert len(repair.over) == 6
    assert repair.optimizer == "fresh"
    assert bool(impair.over.noise.is_forget.all())
