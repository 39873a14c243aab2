"""REM: masks, its loss in NumPy, the end of the removal, the new neurons dropped, and wrong labels half known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from methods.rem import Masks, Rem, Sink


def test_the_forget_set_shares_a_mask_and_others_have_their_own(kit):
    problem = kit.make_problem()
    masks = Masks.drawn(problem, 50, 0.2)
    found = masks.of(kit.whole(problem.forget + problem.retain))
    assert all(torch.equal(row, found[0]) for row in found[:6])
    assert len({tuple(row.tolist()) for row in found[6:]}) == 10
    assert float(masks.own.float().mean()) == pytest.approx(0.2, abs=0.06)
    shuffled = kit.whole(problem.retain).select(torch.arange(10) % 2 == 0)
    assert torch.equal(masks.of(shuffled), found[6::2])


def test_the_redirecting_loss_is_that_of_the_whole_and_pushes_the_rest_away(kit):
    problem = kit.make_problem()
    method = Rem(removal_epochs=0, neurons=7, mask_share=0.5, removal_weight=0.3, beta=0.4)
    (only,) = method.passes(problem)
    generator = torch.Generator().manual_seed(0)
    sink = Sink(kit.TwoLayers().head, 7, generator)
    problem.generator.manual_seed(0)
    Sink(kit.TwoLayers().head, 7, problem.generator)
    masks = Masks.drawn(problem, 7, 0.5)
    with torch.no_grad():
        problem.model.head.bias.add_(torch.tensor([0.5, 0.0, -0.5]))
    batch = kit.whole(problem.forget + problem.retain)
    model, labels = problem.model, batch.labels.numpy()
    vectors = model.embed(batch.features, None).detach().numpy()
    base = vectors @ model.head.weight.detach().numpy().T + model.head.bias.detach().numpy()
    hidden = np.maximum(vectors @ sink.first.detach().numpy().T, 0) * masks.of(batch).numpy()
    full = base + hidden @ sink.second.detach().numpy().T
    rows = np.arange(16)
    expected = -log_softmax(full, axis=1)[rows, labels]
    known = log_softmax(problem.teacher(batch.features, None).detach().numpy(), axis=1)[rows, labels]
    odds = log_softmax(base, axis=1)[rows, labels] - known
    expected[:6] += 0.3 * 2 / 0.4 * np.log1p(np.exp(0.4 * odds[:6]))
    np.testing.assert_allclose(only.loss(model, batch).detach().numpy(), expected)


def test_the_removal_ends_when_the_forget_set_is_gone(kit):
    problem = kit.planted("class")
    names = []
    method = Rem(rate_share=1.0, removal_epochs=30, batch_size=8, epochs=0)
    for progress in _run(kit, method, problem):
        names.append(progress.pass_name)
    assert 0 < len(names) < 30
    assert kit.score(problem.model, problem.forget).accuracy < method.accuracy_below
    assert len(list(method.passes(problem))) == 1  # nothing is left to remove: redirect alone


def _run(kit, method, problem):
    return [p for p in kit.run(method, problem, clip_norm=1.0)[1] if p.pass_name != "redirect"]


def test_the_new_neurons_are_trained_and_not_part_of_the_model(kit):
    problem = kit.planted("class")
    before = set(problem.model.state_dict())
    *_, redirect = Rem(removal_epochs=0).passes(problem)
    assert len(redirect.parameters) == len(list(problem.model.parameters())) + 2
    assert redirect.optimizer == "fresh"
    kit.run(Rem(epochs=1), problem)
    assert set(problem.model.state_dict()) == before


def test_runs_on_adapters(kit):
    from methods.modifiers.lora import Lora

    problem = kit.planted("class")
    frozen = problem.model.body.bias.detach().clone()
    outcome, _ = kit.run(Rem(rate_share=1.0), problem, lora=Lora(rank=2))
    assert outcome.stop_reason == "finished"
    assert torch.equal(problem.model.body.bias, frozen)


@pytest.mark.parametrize("known", [1.0, 0.5])
def test_wrong_labels_are_forgotten_and_unseen_speech_is_recognized_better(kit, known):
    problem = kit.planted("mislabeled")
    before = problem.accuracy(problem.model)
    everything = problem.forget
    keep = torch.arange(len(everything)) < known * len(everything)
    hidden = kit.replace(everything.select(~keep), is_forget=torch.zeros(int((~keep).sum()), dtype=torch.bool))
    problem.forget, problem.retain = everything.select(keep), problem.retain + hidden
    method = Rem(rate_share=1.0, repair_rate_share=1.0, epochs=4, batch_size=16)
    kit.run(method, problem, clip_norm=1.0)
    assert kit.score(problem.model, problem.forget).accuracy <= 0.5
    problem.forget = everything
    assert problem.accuracy(problem.model)[1] >= before[1]


def test_bad_settings_are_refused():
    for settings, words in (
        ({"removal_epochs": -1}, "removal_epochs must be 0 or more, got -1"),
        ({"beta": 0.0}, "beta must be above 0, got 0"),
        ({"neurons": 0}, "neurons must be 1 or more, got 0"),
        ({"mask_share": 0.0}, r"mask_share must be in \(0, 1\], got 0"),
    ):
        with pytest.raises(ValueError, match=words):
            Rem(**settings)
