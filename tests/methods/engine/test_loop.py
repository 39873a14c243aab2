from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import nn

from methods.base import Method, Pass, Scores
from methods.engine.budget import BudgetSpent
from methods.engine.loop import Diverged, LoopSettings, Outcome, run_method
from methods.engine.losses import cross_entropy, label_loss
from methods.modifiers.superloss import SuperLoss, superloss_weight
from methods.retrain import Retrain


@dataclass(frozen=True, kw_only=True)
class OnePass(Method):
    """A pass given by the test."""

    label = "test"
    version = 1
    make: object = None

    def passes(self, problem) -> Iterator[Pass]:
        yield self.make(problem)


def union_pass(problem, **settings):
    defaults = {
        "name": "p",
        "over": problem.forget + problem.retain,
        "loss": cross_entropy,
        "learning_rate": 0.1,
        "batch_size": 64,
    }
    return Pass(**{**defaults, **settings})


def test_a_mixed_batch_weighs_retain_by_lambda_and_divides_by_the_batch(kit):
    problem = kit.make_problem()
    reference = kit.TwoLayers()
    batch = next((problem.forget + problem.retain).batches(64))
    loss = label_loss(reference(batch.features, batch.lengths), batch.labels)
    total = (-loss[batch.is_forget].sum() + 2.5 * loss[~batch.is_forget].sum()) / len(batch)
    expected = kit.adamw_first_step(reference, total, 0.1, weight_decay=0.3)
    method = OnePass(make=lambda p: union_pass(p, forget_sign=-1.0, retain_weight=2.5, weight_decay=0.3))
    kit.run(method, problem)
    for name, value in kit.weights(problem.model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-12)


def test_superloss_weighs_the_forget_losses_before_the_sign(kit):
    problem = kit.make_problem()
    reference = kit.TwoLayers()
    batch = next((problem.forget + problem.retain).batches(64))
    loss = label_loss(reference(batch.features, batch.lengths), batch.labels)
    sigma = torch.ones_like(loss)
    forget_losses = loss[batch.is_forget].detach()
    sigma[batch.is_forget] = superloss_weight(forget_losses, float(forget_losses.mean()), 1.0)
    total = (torch.where(batch.is_forget, -1.0, 1.0) * sigma * loss).sum() / len(batch)
    expected = kit.adamw_first_step(reference, total, 0.1)
    kit.run(OnePass(make=lambda p: union_pass(p, forget_sign=-1.0)), problem, superloss=SuperLoss())
    for name, value in kit.weights(problem.model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-12)


def test_gradients_are_clipped_to_the_norm(kit):
    norms = []

    def watch(model, optimizer):
        norms.append(torch.sqrt(sum((p.grad**2).sum() for p in model.parameters())).item())

    kit.run(OnePass(make=lambda p: union_pass(p, after_step=watch)), kit.make_problem(), clip_norm=1e-3)
    assert norms == [pytest.approx(1e-3, rel=1e-3)]


def test_the_budget_stops_within_one_step(kit):
    problem = kit.make_problem(limit=20)
    outcome, _ = kit.run(OnePass(make=lambda p: union_pass(p, batch_size=8, epochs=10)), problem)
    assert outcome.stop_reason == "budget"
    assert problem.budget.samples == 24  # three batches of 8: the first that reaches 20
    assert outcome.steps == 3


@pytest.mark.parametrize(
    ("limit", "whole"), [(4, [False]), (16, [True]), (20, [True, False]), (32, [True, True]), (None, [True] * 3)]
)
def test_only_epochs_that_the_budget_does_not_cut_off_are_whole(kit, limit, whole):
    ends = []
    make = partial(union_pass, batch_size=4, epochs=3, at_end=lambda model: ends.append(kit.weights(model)))
    problem = kit.make_problem(limit=limit)  # an epoch has 16 utterances
    _, progress = kit.run(OnePass(make=make), problem)
    assert [p.whole for p in progress] == whole
    assert len(ends) == (whole == [True] * 3)


def test_the_end_of_a_pass_is_reached_where_its_last_epoch_uses_the_budget_up_and_changes_the_kept_weights(kit):
    def double(model):
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(2)

    plain, doubled = (kit.make_problem(limit=16) for _ in range(2))
    kit.run(OnePass(make=partial(union_pass, batch_size=4, keep_best=True)), plain)
    outcome, _ = kit.run(OnePass(make=partial(union_pass, batch_size=4, keep_best=True, at_end=double)), doubled)
    assert outcome.stop_reason == "budget"
    kit.assert_same(doubled, {name: 2 * p for name, p in kit.weights(plain.model).items()})


@pytest.mark.parametrize("limit", [None, 20])
def test_no_gradient_is_left_when_the_steps_are_over(kit, limit):
    problem = kit.make_problem(limit=limit)
    kit.run(OnePass(make=lambda p: union_pass(p, batch_size=8, epochs=3)), problem)
    assert all(p.grad is None for p in problem.model.parameters())


def test_a_finished_pass_is_not_called_out_of_budget(kit):
    problem = kit.make_problem(limit=1000)
    outcome, _ = kit.run(OnePass(make=union_pass), problem)
    assert (outcome.stop_reason, problem.budget.samples) == ("finished", 16)


def test_an_iteration_is_whole_when_its_last_batch_uses_the_budget_up(kit):
    """Six utterances in batches of 4 and 2: 4/3 and 2/3 samples."""

    def iterated(problem):
        for batch in problem.iterate(problem.forget, 4, backward=False):
            problem.model(batch.features, batch.lengths)
            yield len(batch)

    problem = kit.make_problem(limit=2.0)
    assert list(iterated(problem)) == [4, 2]
    assert problem.budget.spent
    problem = kit.make_problem(limit=1.0)
    with pytest.raises(BudgetSpent):
        list(iterated(problem))
    assert problem.budget.samples == pytest.approx(4 / 3)


def test_a_loss_that_is_not_finite_is_divergence(kit):
    def broken(model, batch):
        return cross_entropy(model, batch) * float("nan")

    with pytest.raises(Diverged, match="step 1"):
        kit.run(OnePass(make=lambda p: union_pass(p, loss=broken)), kit.make_problem())


def test_a_fresh_optimizer_forgets_its_moments_and_a_kept_one_does_not(kit):
    @dataclass(frozen=True, kw_only=True)
    class Two(Method):
        label = "test"
        version = 1
        second: str = "keep"

        def passes(self, problem):
            yield union_pass(problem)
            yield union_pass(problem, optimizer=self.second)

    ends = []
    for second in ("keep", "fresh"):
        problem = kit.make_problem()
        kit.run(Two(second=second), problem)
        ends.append(kit.weights(problem.model)["head.weight"])
    assert not torch.allclose(*ends)


class Kept:
    """An `EpochStore` in memory."""

    state = None

    def load(self):
        return self.state

    def save(self, state):
        self.state = copy.deepcopy(state)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_retrain_resumes_after_an_epoch_as_if_never_interrupted(kit, dropout):
    class Dropping(kit.TwoLayers):
        def embed(self, features, lengths):
            return nn.functional.dropout(super().embed(features, lengths), dropout, self.training)

    def begun():
        torch.manual_seed(5)  # as every trial does
        problem = kit.make_problem()
        problem.model = Dropping()
        problem.score = lambda model, utterances: Scores(0.0, -float(next(steps)))  # the last epoch is the best
        return problem

    steps = itertools.count()
    whole = begun()
    kit.run(Retrain(), whole)
    kept, first = Kept(), begun()
    progress = run_method(Retrain(), first, settings=LoopSettings(clip_norm=1e9), epochs=kept, outcome=Outcome())
    next(progress)  # one epoch, then the process dies
    again = begun()
    outcome, _ = kit.run(Retrain(), again, epochs=kept)
    assert outcome.steps == 6  # of both lives together
    for name, value in kit.weights(whole.model).items():
        assert torch.equal(value, kit.weights(again.model)[name])


def test_retrain_keeps_the_best_epoch_on_validation(kit):
    problem = kit.make_problem()
    seen = []

    def spy(model, utterances):
        seen.append({name: p.detach().clone() for name, p in model.named_parameters()})
        return kit.score(model, utterances)

    problem.score = spy
    kit.run(Retrain(), problem)
    scores = []
    for state in seen:
        model = kit.TwoLayers()
        model.load_state_dict(state)
        scores.append(kit.score(model, problem.validation))
    best = max(range(len(seen)), key=lambda i: (scores[i].accuracy, -scores[i].loss))
    assert all(torch.equal(v, seen[best][name]) for name, v in kit.weights(problem.model).items())


def test_retrain_starts_from_the_fresh_model_and_never_sees_the_forget_set(kit):
    problem = kit.make_problem()
    rows = []

    original_fetch = problem.retain.fetch

    def fetch(picked):
        rows.extend(picked.tolist())
        return original_fetch(picked)

    problem.retain = kit.replace(problem.retain, fetch=fetch)
    problem.forget = kit.replace(problem.forget, fetch=fetch)
    kit.run(Retrain(), problem)
    assert set(rows) == set(problem.retain.utterances.tolist())
