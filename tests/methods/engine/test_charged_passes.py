"""The budget is a rule: what a method runs is charged, wherever it runs it; what the harness looks at is not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch

from methods.base import Method, Pass
from methods.cf_k import CatastrophicForgetting
from methods.engine.budget import BudgetMeter, BudgetSpent
from methods.engine.charged_passes import charge_passes
from methods.engine.losses import cross_entropy
from methods.modifiers.lora import Lora


@dataclass(frozen=True, kw_only=True)
class Edit(Method):
    """A method of the test: what it does before its only pass, over D_f, if it makes one."""

    label = "test"
    version = 1
    does: Callable
    passes_over_forget: bool = False

    def passes(self, problem) -> Iterator[Pass]:
        self.does(problem)
        if self.passes_over_forget:
            yield Pass(name="p", over=problem.forget, loss=cross_entropy, learning_rate=1e-2)


def forwards(model_of):
    def run(problem):
        model = model_of(problem)
        for batch in problem.retain.batches(4):
            with torch.no_grad():
                model(batch.features, batch.lengths)

    return run


def trains_in_a_loop_of_its_own(problem):
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1)
    for batch in problem.retain.batches(4):
        optimizer.zero_grad()
        cross_entropy(problem.model, batch).mean().backward()
        optimizer.step()


def embeds(problem):
    for batch in problem.retain.batches(4):
        with torch.no_grad():
            problem.model.embed(batch.features, batch.lengths)


def goes_back_from_the_embedding(problem):
    batch = next(problem.retain.batches(10))
    problem.model.embed(batch.features, batch.lengths).square().sum().backward()


def goes_back_twice(problem):
    batch = next(problem.retain.batches(10))
    losses = cross_entropy(problem.model, batch)
    torch.autograd.grad(losses[0], list(problem.model.parameters()), retain_graph=True)
    torch.autograd.grad(losses[1], list(problem.model.parameters()))


CHEATS = {
    "a loop of its own": (trains_in_a_loop_of_its_own, 10),
    "a forward in a loop of its own": (forwards(lambda problem: problem.model), 10 / 3),
    "the embedding alone": (embeds, 10 / 3),
    "back from the embedding": (goes_back_from_the_embedding, 10),
    "back twice": (goes_back_twice, 10 / 3 + 2 * 10 * 2 / 3),
    "a fresh model": (forwards(lambda problem: problem.fresh_model().eval()), 10 / 3),
    "a random model": (forwards(lambda problem: problem.random_model().eval()), 10 / 3),
    "a copy": (forwards(lambda problem: copy.deepcopy(problem.model)), 10 / 3),
    "scores": (lambda problem: problem.evaluate(problem.validation), 8 / 3),
}


@pytest.mark.parametrize(("does", "samples"), CHEATS.values(), ids=CHEATS.keys())
def test_what_a_method_runs_is_charged_whoever_runs_it(kit, does, samples):
    problem = kit.make_problem()
    kit.run(Edit(does=does), problem)
    assert problem.budget.samples == pytest.approx(samples)


def test_a_step_after_a_loop_of_ones_own_finds_the_budget_spent(kit):
    problem = kit.make_problem(limit=10.0)
    outcome, _ = kit.run(Edit(does=trains_in_a_loop_of_its_own, passes_over_forget=True), problem)
    assert (outcome.stop_reason, outcome.steps) == ("budget", 0)


def test_scores_need_a_budget_that_is_not_spent(kit):
    problem = kit.make_problem(limit=2.0)
    problem.evaluate(problem.validation)
    with pytest.raises(BudgetSpent):
        problem.evaluate(problem.validation)


def test_scores_of_the_harness_are_not_charged_and_change_no_random_state(kit):
    problem = kit.make_problem(limit=1.0)
    inner = problem.score

    def drawing(model, utterances):
        torch.rand(3)
        return inner(model, utterances)

    problem.score = drawing
    before = torch.get_rng_state()
    for _ in range(3):
        assert 0 <= problem.evaluate_uncharged(problem.forget).accuracy <= 1
    assert torch.equal(torch.get_rng_state(), before)
    assert problem.budget.samples == 0
    assert problem.budget.seconds == 0
    assert problem.budget.evaluation_seconds > 0


def test_after_the_method_nothing_is_charged(kit):
    problem = kit.make_problem()
    kit.run(Edit(does=embeds), problem)
    embeds(problem)
    goes_back_from_the_embedding(problem)
    assert problem.budget.samples == pytest.approx(10 / 3)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in problem.model.modules())


def test_the_time_of_a_methods_own_code_is_charged_except_for_loading_and_evaluation(kit):
    now = [0.0]

    def does(problem):
        now[0] += 5.0
        with problem.budget.loading():
            now[0] += 100.0
        with problem.budget.charging():
            now[0] += 1.0
        problem.evaluate_uncharged(problem.forget)

    def slow(model, utterances):
        now[0] += 1000.0

    problem = kit.make_problem(limit=1e9, unit="seconds")
    problem.budget.clock, problem.score = lambda: now[0], slow
    kit.run(Edit(does=does), problem)
    assert problem.budget.seconds == 6.0
    assert problem.budget.loading_seconds == 100.0
    assert problem.budget.evaluation_seconds == 1000.0


def test_a_budget_of_seconds_is_checked_against_the_block_that_runs():
    now = [0.0]
    budget = BudgetMeter(limit=2.0, unit="seconds", clock=lambda: now[0])
    with budget.charging():
        now[0] = 1.0
        budget.check()
        now[0] = 3.0
        with pytest.raises(BudgetSpent):
            budget.check()


@pytest.mark.parametrize(("last", "share"), [(1, 18 / 43), (2, 1.0)])
def test_frozen_blocks_go_forward_only(kit, last, share):
    problem = kit.make_problem()
    kit.run(CatastrophicForgetting(epochs=3, last_blocks=last), problem)
    assert problem.budget.samples == pytest.approx(3 * 10 * (1 / 3 + 2 / 3 * share))


def test_adapters_go_back_through_all_blocks_but_have_few_gradients(kit):
    problem = kit.make_problem()
    kit.run(Edit(does=lambda problem: None, passes_over_forget=True), problem, lora=Lora(rank=1))
    moving = (4 + 5 + 18) / 43  # two vectors at the body, and the head
    assert problem.budget.samples == pytest.approx(6 * (1 / 3 + 1 / 3 + moving / 3))


def test_counting_a_model_twice_charges_once(kit):
    problem = kit.make_problem()
    charge_passes(problem.model, problem.budget)
    embeds(problem)
    assert problem.budget.samples == pytest.approx(10 / 3)


@dataclass(frozen=True, kw_only=True)
class Choosing(Method):
    """Two epochs over D_r, of which the better one is kept."""

    label = "test"
    version = 1
    charged: bool

    def passes(self, problem) -> Iterator[Pass]:
        yield Pass(
            name="p", over=problem.retain, loss=cross_entropy, learning_rate=1e-2, epochs=2, keep_best=True,
            choice_charged=self.charged,
        )  # fmt: skip


def test_choosing_an_epoch_is_charged_to_methods_and_not_to_trainings(kit):
    found = []
    for charged in (True, False):
        problem = kit.make_problem()
        kit.run(Choosing(charged=charged), problem)
        found.append(problem.budget.samples)
    assert found == [pytest.approx(2 * (10 + 8 / 3)), 20]


def test_the_best_epoch_is_kept_though_the_budget_leaves_no_room_to_score_the_last(kit):
    problem = kit.make_problem(limit=20.0)
    after_first = []
    inner = problem.score

    def remembering(model, utterances):
        after_first.append(kit.weights(model))
        return inner(model, utterances)

    problem.score = remembering
    outcome, _ = kit.run(Choosing(charged=True), problem)
    assert outcome.stop_reason == "budget"
    assert len(after_first) == 1
    assert all(torch.equal(after_first[0][name], value) for name, value in kit.weights(problem.model).items())
