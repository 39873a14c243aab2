"""A step in micro-batches is the step of the whole batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from methods.base import Method, Pass
from methods.engine.gradients import summed_gradient
from methods.engine.losses import cross_entropy, distillation_loss, original_losses
from methods.modifiers.superloss import SuperLoss
from methods.msg import Msg
from methods.mubench.salun_mubench import all_but_the_first
from methods.random_label import RandomLabel
from methods.salun import SalUn, saliency_mask
from methods.scrub import Scrub
from methods.sfron import mean_squared_gradient
from methods.unsir import Unsir


@dataclass(frozen=True, kw_only=True)
class OnePass(Method):
    """A pass over the union, with the settings of the test."""

    label = "test"
    version = 1
    settings: dict

    def passes(self, problem) -> Iterator[Pass]:
        def taught(model, batch):
            return distillation_loss(problem.original_logits(batch), model(batch.features, batch.lengths), 4.0)

        loss = {"cross-entropy": cross_entropy, "distillation": taught}[self.settings["loss"]]
        over = problem.forget + problem.retain
        yield Pass(**{"name": "p", "over": over, "batch_size": 7, "epochs": 2, **self.settings, "loss": loss})


def trained(kit, method, micro_batch, superloss=None):
    problem = kit.make_problem()
    problem.micro_batch = micro_batch
    with torch.no_grad():
        problem.model.head.weight.mul_(1.5)  # away from the teacher: a distillation that starts at zero has no gradient
    outcome, progress = kit.run(method, problem, micro_batch=micro_batch, superloss=superloss, clip_norm=0.5)
    return kit.weights(problem.model), outcome.steps, problem.budget.samples, [p.loss for p in progress]


def assert_same(whole, parts):
    assert whole[1:3] == parts[1:3]
    assert whole[3] == pytest.approx(parts[3], rel=1e-12)
    for name, value in whole[0].items():
        torch.testing.assert_close(parts[0][name], value, rtol=1e-9, atol=1e-12)


PASSES = {
    "plain": {"learning_rate": 1e-2},
    "ascent on the forget set, weighted retain set": {"learning_rate": 1e-2, "forget_sign": -1.0, "retain_weight": 2.5},
    "forget set alone counts": {"learning_rate": 1e-2, "retain_weight": 0.0},
    "L1": {"learning_rate": 1e-2, "l1_penalty": 0.05},
}


@pytest.mark.parametrize("micro_batch", [1, 3])
@pytest.mark.parametrize("loss", ["cross-entropy", "distillation"])
@pytest.mark.parametrize("settings", PASSES.values(), ids=PASSES.keys())
def test_micro_batches_take_the_step_of_the_whole_batch(kit, settings, loss, micro_batch):
    method = OnePass(settings={**settings, "loss": loss})
    assert_same(trained(kit, method, None), trained(kit, method, micro_batch))


@pytest.mark.parametrize("tau", ["moving_average", "global", "fixed"])
@pytest.mark.parametrize("over", ["forget", "all"])
def test_superloss_takes_tau_over_the_whole_batch(kit, tau, over):
    method = OnePass(settings={"learning_rate": 1e-2, "loss": "cross-entropy", "forget_sign": -1.0})
    superloss = SuperLoss(tau=tau, over=over)
    assert_same(trained(kit, method, None, superloss), trained(kit, method, 2, superloss))


@pytest.mark.parametrize(
    "method", [SalUn(learning_rate=1e-2, batch_size=8), Scrub(learning_rate=1e-2), RandomLabel(learning_rate=1e-2)]
)
def test_methods_end_where_they_would_without_micro_batches(kit, method):
    assert_same(trained(kit, method, None), trained(kit, method, 3))


def test_hooks_see_the_gradient_of_the_whole_batch_once_a_step(kit):
    seen = []

    def watch(model):
        seen.append(model.head.weight.grad.clone())

    settings = {"learning_rate": 1e-2, "loss": "cross-entropy", "epochs": 1, "before_step": watch}
    trained(kit, OnePass(settings=settings), None)
    trained(kit, OnePass(settings=settings), 2)
    assert len(seen) == 2 * 3  # sixteen utterances in batches of seven, twice
    for whole, parts in zip(seen[:3], seen[3:], strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-9, atol=1e-12)


def test_superloss_weighs_the_losses_of_the_step_under_dropout(kit):
    class Dropping(kit.TwoLayers):
        def embed(self, features, lengths):
            return nn.functional.dropout(super().embed(features, lengths), 0.5, self.training)

    met = []

    def loss(model, batch):
        found = cross_entropy(model, batch)
        met.append(found.detach())
        return found

    problem = kit.make_problem()
    problem.model = Dropping()

    @dataclass(frozen=True, kw_only=True)
    class One(Method):
        label = "test"
        version = 1

        def passes(self, problem):
            yield Pass(name="p", over=problem.forget, loss=loss, learning_rate=1e-2, batch_size=6)

    kit.run(One(), problem, micro_batch=2, superloss=SuperLoss())
    assert len(met) == 6
    assert torch.equal(torch.cat(met[:3]), torch.cat(met[3:]))


def test_batches_are_smaller_only_where_it_changes_nothing(kit):
    problem = kit.make_problem()
    problem.micro_batch = 4
    sizes = {}
    for name, flags in {
        "forward": {"backward": False},
        "backward": {"backward": True},
        "summed": {"backward": True, "summed": True},
    }.items():
        sizes[name] = [len(batch) for batch in problem.iterate(problem.forget, 6, **flags)]
    assert sizes == {"forward": [4, 2], "backward": [6], "summed": [4, 2]}


def test_saliency_does_not_depend_on_the_micro_batch(kit):
    masks = []
    for micro_batch in (None, 1):
        problem = kit.make_problem()
        problem.micro_batch = micro_batch
        masks.append(saliency_mask(summed_gradient(problem, problem.forget, 6), 0.5))
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in masks[0])


PREPARATIONS = {
    "MSG": lambda problem: {**Msg(batch_size=6).reinitialize(problem), **dict(problem.model.named_parameters())},
    "UNSIR": lambda problem: {"noise": Unsir(batch_size=6, noise_steps=5).learned_noise(problem).features},
    "SFRon": lambda problem: mean_squared_gradient(problem, problem.retain, 6),
    "SalUn of MU-Bench": lambda problem: all_but_the_first(problem, 4),
    "losses of f": lambda problem: {"losses": original_losses(problem, problem.forget)},
}


@pytest.mark.parametrize("prepare", PREPARATIONS.values(), ids=PREPARATIONS.keys())
def test_what_comes_before_the_passes_respects_the_micro_batch_and_is_the_same(kit, prepare):
    met, found, charged = [], [], []

    class Counting(kit.TwoLayers):
        def embed(self, features, lengths):
            met.append(len(features))
            return super().embed(features, lengths)

    for micro_batch in (None, 2):
        problem = kit.make_problem(forget=6, retain=6)
        problem.model, problem.micro_batch = Counting(), micro_batch
        problem.teacher_logits = lambda batch, model=problem.model: model(batch.features, batch.lengths).detach()
        met.clear()
        found.append(prepare(problem))
        charged.append((problem.budget.samples, max(met)))
    assert charged[0][0] == pytest.approx(charged[1][0])
    assert charged[0][1] > 2 == charged[1][1]
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-9, atol=1e-12)
