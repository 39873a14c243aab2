from __future__ import annotations

import torch

from methods.engine.losses import label_loss
from methods.sfron import Alternating, SFRon, mean_squared_gradient


def test_fisher_is_the_mean_of_squared_batch_gradients(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    expected = [torch.zeros_like(p) for p in model.parameters()]
    for batch in problem.forget.batches(4):  # 4 and 2 utterances
        loss = label_loss(model(batch.features, batch.lengths), batch.labels).mean()
        for total, gradient in zip(expected, torch.autograd.grad(loss, list(model.parameters())), strict=True):
            total += gradient**2 / 2
    found = mean_squared_gradient(problem, problem.forget, 4)
    for got, wanted in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(got, wanted)
    assert problem.budget.samples == 6


def test_an_ascent_comes_before_every_fifth_step_and_the_forget_set_begins_again(kit):
    problem = kit.make_problem(forget=3, retain=22)
    source = Alternating(problem.forget, problem.retain, every=5, batch_size=2)
    batches = list(source.batches(2, problem.generator))
    assert "".join("f" if b.is_forget.all() else "r" for b in batches) == "frrrrrfrrrrrfr"
    assert [len(b) for b in batches if b.is_forget.all()] == [2, 1, 2]
    assert source.ascents == 3
    kept = torch.cat([b.utterances for b in batches if not b.is_forget.any()])
    assert kept.sort().values.tolist() == problem.retain.utterances.tolist()


def test_an_ascent_takes_the_step_by_hand(kit):
    """One batch of D_f, then λ = 0, so that D_r moves nothing but the optimizer's clock."""
    problem, model = kit.make_problem(retain=6), kit.TwoLayers()
    forget, retain = (next(s.batches(64)) for s in (problem.forget, problem.retain))
    parameters = list(model.parameters())
    losses = label_loss(model(forget.features, forget.lengths), forget.labels)
    kept = label_loss(model(retain.features, retain.lengths), retain.labels).mean()
    squares = [
        [g**2 for g in torch.autograd.grad(loss, parameters, retain_graph=True)] for loss in (losses.mean(), kept)
    ]
    favor = losses.detach() ** -0.5
    ascent = -(25.0 * favor / favor.mean() * losses).sum() / len(forget)
    gradients = torch.autograd.grad(ascent, parameters)
    steps = []

    def first(model, optimizer):
        if not steps:
            steps.append(kit.weights(model))

    (only,) = SFRon(learning_rate=1e-3, batch_size=64, retain_weight=0.0).passes(problem)
    count = only.after_step

    class Watched(SFRon):
        def passes(self, problem):
            yield kit.replace(only, after_step=lambda m, o: (first(m, o), count(m, o)))

    kit.run(Watched(), problem)
    moved = 0
    for (name, p), g, f, r in zip(model.named_parameters(), gradients, *squares, strict=True):
        masked = torch.where(f >= r, g, 0.0)
        torch.testing.assert_close(steps[0][name], p.detach() - 1e-3 * masked / (masked.abs() + 1e-8))
        moved += int((f >= r).sum())
    assert 0 < moved < sum(p.numel() for p in parameters)


def test_easy_utterances_are_favored():
    favor = SFRon(easy_exponent=0.5).favor(torch.tensor([4.0, 0.25]))
    assert favor.tolist() == [0.5, 2.0]


def test_ascent_fades_by_a_cosine(kit):
    problem = kit.make_problem(forget=2, retain=4)
    (only,) = SFRon(batch_size=2, ascent_every=1, epochs=2).passes(problem)
    batch = next(problem.forget.batches(2))
    sizes = []
    for _ in range(4):
        sizes.append(only.loss(problem.model, batch).sum().item())
        only.after_step(problem.model, None)
    shares = torch.tensor(sizes) / sizes[0]
    torch.testing.assert_close(shares, (1 + torch.cos(torch.pi * torch.arange(4) / 4)) / 2)
