"""The relearning attack on models that hide what they know, and on one that never knew it."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from methods.base import Scores, Training, UnlearningProblem, UtteranceSet
from methods.engine.budget import BudgetMeter
from methods.engine.loop import LoopSettings
from orchestrator.evidence.relearning import recovery
from orchestrator.run.evaluation.relearning import relearn, split_forget_set

CLASSES, WIDTH, FORGET, RETAIN = 3, 200, 60, 90
SPEC = SimpleNamespace(task=SimpleNamespace(title="t"), backbone=SimpleNamespace(title="b"), seed=0)
SETTINGS = {"forgotten": [0, 2], "epochs": 20, "learning_rate": 0.3, "retain_limit": None}


class Lookup(nn.Module):
    """Fixed weights that hold the labels of what they were fitted to, and a bias that can be trained."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.bias = nn.Parameter(torch.zeros(CLASSES))

    def forward(self, features, lengths):
        return features @ self.weights + self.bias


def score(model, utterances) -> Scores:
    with torch.no_grad():
        batches = [(model(b.features, b.lengths).argmax(-1) == b.labels) for b in utterances.batches(64)]
    return Scores(float(torch.cat(batches).float().mean()), 0.0)


@pytest.fixture(scope="module")
def world():
    """Random features with random labels: what is known of one utterance says nothing of another."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(FORGET + RETAIN, WIDTH, generator=generator)
    labels = torch.randint(CLASSES, (FORGET + RETAIN,), generator=generator)

    def fetch(rows):
        return features[rows], torch.ones(len(rows), dtype=torch.long)

    def part(rows, is_forget):
        return UtteranceSet(rows, labels[rows], torch.full((len(rows),), is_forget), fetch)

    def fitted(first):
        wanted = 10 * nn.functional.one_hot(labels[first:], CLASSES).float()
        return Lookup(torch.linalg.pinv(features[first:]) @ wanted)

    forget, retain = part(torch.arange(FORGET), True), part(torch.arange(FORGET, FORGET + RETAIN), False)
    return SimpleNamespace(forget=forget, retain=retain, original=fitted(0), retrained=fitted(FORGET))


def problem_of(world, model) -> UnlearningProblem:
    return UnlearningProblem(
        model=model, forget=world.forget, retain=world.retain, validation=world.retain, num_classes=CLASSES,
        forgotten_classes=(), training=Training(batch_size=16), budget=BudgetMeter(),
        generator=torch.Generator().manual_seed(0), build_model=lambda _: model, teacher_logits=lambda _: None,
        score=score,
    )  # fmt: skip


def hidden(world) -> Lookup:
    """Original behind a bias that makes it answer class 0 always: forgetting by pretense."""
    model = Lookup(world.original.weights)
    with torch.no_grad():
        model.bias[0] = 20.0
    return model


def attack(world, model, **settings) -> list[dict]:
    return relearn(SPEC, problem_of(world, model), LoopSettings(), {**SETTINGS, **settings})


def last(rows: list[dict], k: int) -> float:
    return [row["value"] for row in rows if row["test"] == "relearning" and row["forgotten"] == k][-1]


def test_retain_data_alone_bring_back_what_was_only_hidden(world) -> None:
    rows = attack(world, hidden(world), epochs=40)
    before = rows[0]["value"]
    assert before < 0.6
    assert recovery(last(rows, 0), before, original=1.0) > 0.9


def test_they_do_not_bring_back_what_was_never_known(world) -> None:
    rows = attack(world, world.retrained)
    assert abs(recovery(last(rows, 0), rows[0]["value"], original=1.0)) < 0.2


def test_each_curve_starts_from_the_unlearned_model_on_the_unseen_four_fifths(world) -> None:
    rows = attack(world, hidden(world), epochs=2)
    starts = {row["value"] for row in rows if row["epoch"] == 0}
    assert starts == {rows[0]["value"]}
    assert {row["utterances"] for row in rows} == {48}
    assert [row["epoch"] for row in rows if row["forgotten"] == 2] == [0, 1, 2]


def test_the_model_the_meter_and_the_next_draw_are_left_as_they_were(world) -> None:
    problem = problem_of(world, hidden(world))
    before, state = problem.model.bias.detach().clone(), problem.generator.get_state()
    relearn(SPEC, problem, LoopSettings(), {**SETTINGS, "epochs": 1})
    assert torch.equal(problem.model.bias, before)
    assert torch.equal(problem.generator.get_state(), state)
    assert problem.budget.samples == problem.budget.seconds == 0


def test_the_attack_is_the_same_for_every_method(world) -> None:
    first, second = (attack(world, hidden(world), epochs=2) for _ in range(2))
    assert first == second


def test_the_pool_and_the_rest_share_no_utterance_and_leave_none_out(world) -> None:
    pool, unseen = split_forget_set(world.forget, seed=3)
    assert (len(pool), len(unseen)) == (12, 48)
    assert sorted([*pool.utterances.tolist(), *unseen.utterances.tolist()]) == list(range(FORGET))


def test_more_forgotten_utterances_than_the_pool_has_are_not_measured(world) -> None:
    rows = attack(world, hidden(world), forgotten=[13], epochs=1)
    assert math.isnan(last(rows, 13))


def test_relearning_that_diverges_is_not_measured_and_no_error(world) -> None:
    rows = attack(world, hidden(world), forgotten=[0], epochs=3, learning_rate=float("inf"))
    assert math.isnan(last(rows, 0))
