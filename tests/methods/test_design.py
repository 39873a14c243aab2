"""Awkward methods of the field, in their smallest form: the Pass design holds them, the loop knows none of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch

from methods.base import Batch, Method, Pass, UnlearningProblem
from methods.engine.losses import cross_entropy, label_loss
from methods.random_label import RandomLabel


@dataclass(frozen=True, kw_only=True)
class Dampening(Method):
    """SSD (Foster et al. 2024): a weight edit after two epochs, without a pass."""

    label = "SSD"
    version = 1

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        forget, everything = (
            self.importance(problem, problem.forget),
            self.importance(problem, problem.forget + problem.retain),
        )
        with torch.no_grad():
            for p, f, d in zip(problem.model.parameters(), forget, everything, strict=True):
                p.mul_(torch.where(f > d, (d / f.clamp(min=1e-12)).clamp(max=1.0), 1.0))
        return iter(())

    def importance(self, problem, utterances):
        total = [torch.zeros_like(p) for p in problem.model.parameters()]
        for batch in problem.iterate(utterances, 1, backward=True):
            loss = label_loss(problem.model(batch.features, batch.lengths), batch.labels).sum()
            for t, g in zip(total, torch.autograd.grad(loss, list(problem.model.parameters())), strict=True):
                t += g**2 / len(utterances)
        return total


@dataclass(frozen=True, kw_only=True)
class NoiseThenRepair(Method):
    """UNSIR (Tarun et al. 2023): a pass over batches that the method made itself, then one over D_r."""

    label = "UNSIR"
    version = 1

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        template = next(problem.forget.batches(4))
        noise = torch.zeros_like(template.features, requires_grad=True)
        for _ in problem.iterate(problem.forget, 4, backward=True):
            loss = -label_loss(problem.model(noise, template.lengths), template.labels).mean()
            (gradient,) = torch.autograd.grad(loss, noise)
            noise = (noise - 0.1 * gradient).detach().requires_grad_()
        made = Batch(noise.detach(), template.lengths, template.labels, template.is_forget, template.utterances)

        class Made:
            def __len__(self) -> int:
                return len(made)

            def batches(self, batch_size, generator=None):
                yield made

        yield Pass(name="impair", over=Made(), loss=cross_entropy, learning_rate=1e-2)
        yield Pass(name="repair", over=problem.retain, loss=cross_entropy, learning_rate=1e-2, optimizer="fresh")


@dataclass(frozen=True, kw_only=True)
class Tempered(Method):
    """LoTUS (Spartalis et al. 2025): each pass's temperature depends on how the model scores before it."""

    label = "LoTUS"
    version = 1

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        for epoch in range(5):
            difference = problem.evaluate(problem.forget).accuracy - problem.evaluate(problem.validation).accuracy
            if epoch and difference <= 0:
                return
            temperature = math.exp(difference)

            def soften(model, batch, temperature=temperature):
                target = torch.softmax(problem.original_logits(batch) / temperature, dim=-1)
                return -(target * torch.log_softmax(model(batch.features, batch.lengths), dim=-1)).sum(-1)

            yield Pass(name=f"soften {epoch}", over=problem.forget, loss=soften, learning_rate=1e-2)


@dataclass(frozen=True, kw_only=True)
class InTurns(Method):
    """RUM (Zhao et al. 2024): parts of D_f, by confidence, are handed to another method one after the other."""

    label = "RUM"
    version = 1

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        losses = torch.cat([label_loss(problem.original_logits(b), b.labels) for b in problem.forget.batches(64)])
        easy = losses <= losses.median()
        for part, rest in ((easy, ~easy), (~easy, easy)):
            others = problem.retain + problem.forget.select(rest)
            yield from RandomLabel(learning_rate=1e-2).passes(
                problem.restricted_to(problem.forget.select(part), others)
            )


@pytest.mark.parametrize("method", [Dampening(), NoiseThenRepair(), Tempered(), InTurns()], ids=lambda m: m.label)
def test_an_awkward_method_runs_is_charged_and_changes_the_model(kit, method):
    problem = kit.make_problem()
    before = kit.weights(problem.model)
    outcome, _ = kit.run(method, problem)
    assert outcome.stop_reason == "finished"
    assert problem.budget.samples > 0
    assert any(not torch.equal(before[name], value) for name, value in kit.weights(problem.model).items())


@pytest.mark.parametrize("method", [Dampening(), NoiseThenRepair(), Tempered(), InTurns()], ids=lambda m: m.label)
def test_an_awkward_method_stops_on_its_budget_also_inside_an_epoch(kit, method):
    problem = kit.make_problem(limit=1.0)
    outcome, _ = kit.run(method, problem)
    assert outcome.stop_reason == "budget"
    assert problem.budget.samples <= 1.0 + 32


def test_dampening_shrinks_and_never_grows_a_weight(kit):
    problem = kit.make_problem()
    before = kit.weights(problem.model)
    kit.run(Dampening(), problem)
    assert all((value.abs() <= before[name].abs()).all() for name, value in kit.weights(problem.model).items())
