from __future__ import annotations

import math

import pytest
import torch

from methods.lotus import Lotus, charged_accuracy, tempered_targets


def whole(utterances):
    return next(utterances.batches(64))


def test_targets_soften_the_forget_set_and_harden_the_retain_set():
    logits = torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]], dtype=torch.float64)
    noise = torch.tensor([[0.0, 0.0, 0.0], [0.0, 5.0, 0.0]], dtype=torch.float64)
    found = tempered_targets(logits, noise, 2.0, torch.tensor([True, False]))
    odds = [math.exp(x / 2) for x in (2.0, 1.0, 0.0)]
    torch.testing.assert_close(found[0], torch.tensor([x / sum(odds) for x in odds], dtype=torch.float64))
    assert found[1].tolist() == [0.0, 1.0, 0.0]


def test_takes_the_step_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    batch = whole(problem.validation)
    wrong = (model(batch.features, batch.lengths).argmax(-1) + 1) % 3
    problem.validation = kit.replace(problem.validation, labels=wrong)  # so that D_f is the easier one
    accuracy = [kit.score(model, s).accuracy for s in (problem.forget, problem.validation)]
    temperature = math.exp(2.0 * (accuracy[0] - accuracy[1]))
    generator = torch.Generator().manual_seed(0)
    torch.randperm(10, generator=generator)  # the part of D_r, here all of it
    gumbel = -torch.empty(16, 3).exponential_(generator=generator).log().double()
    batch = whole(problem.forget + problem.retain)
    targets = tempered_targets(
        problem.teacher(batch.features, batch.lengths).detach(), gumbel, temperature, batch.is_forget
    )
    loss = -(targets * model(batch.features, batch.lengths).log_softmax(-1)).sum(-1).mean()
    expected = kit.adamw_first_step(model, loss, 1e-3)
    outcome, _ = kit.run(Lotus(learning_rate=1e-3, epochs=1, batch_size=64, alpha=2.0, retain_share=1.0), problem)
    assert accuracy[0] > accuracy[1] == 0
    assert outcome.steps == 1
    for name, value in kit.weights(problem.model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize(("forgotten", "steps"), [((), 0), ((1,), 3)])
def test_ends_when_the_forget_set_is_no_easier_than_its_target(kit, forgotten, steps):
    """With D_v fully right, D_f is never easier than it; a forgotten class's target is 0 and never undercut."""
    problem = kit.make_problem()
    rows = problem.forget
    with torch.no_grad():
        predicted = {
            name: problem.model(b.features, b.lengths).argmax(-1)
            for name, s in (("f", rows), ("v", problem.validation))
            for b in s.batches(64)
        }
    wrong = (predicted["f"] + 1) % 3
    problem.forget = kit.replace(rows, labels=torch.full_like(wrong, forgotten[0]) if forgotten else wrong)
    problem.validation = kit.replace(problem.validation, labels=predicted["v"])
    problem.forgotten_classes = forgotten
    assert len(list(Lotus(epochs=3).passes(problem))) == steps
    said = [] if steps else ["LoTUS stopped before its first pass: f is right on 0.0% of D_f and 100.0% of D_v"]
    assert [note.partition(";")[0] for note in problem.notes] == said


def test_accuracies_are_charged_as_forward_passes(kit):
    problem = kit.make_problem()
    found = charged_accuracy(problem, problem.validation, 3)
    assert problem.budget.samples == pytest.approx(len(problem.validation) / 3)
    assert found == pytest.approx(kit.score(problem.model, problem.validation).accuracy)
