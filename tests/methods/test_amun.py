"""AMUN: the search finds what is nearest, known in closed form for a linear model, at its charge; then the training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from methods.amun import Adversaries, Amun
from methods.base import Batch
from methods.engine.losses import label_loss


class Flat(nn.Module):
    """Logits that are linear in the features."""

    def __init__(self, weight):
        super().__init__()
        self.head = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.float64)
        self.head.weight = nn.Parameter(torch.tensor(weight))

    @property
    def blocks(self):
        return [self.head]

    def forward(self, features, lengths):
        return self.head(features.flatten(1))


def linear_batch(classes, n=40):
    generator = np.random.default_rng(1)
    weight, x = generator.normal(size=(classes, 12)), generator.normal(size=(n, 12))
    labels = (x @ weight.T).argmax(axis=1)
    rows = torch.arange(n)
    features = torch.tensor(x).reshape(n, 4, 3)
    batch = Batch(features, torch.full((n,), 4), torch.tensor(labels), torch.ones(n, dtype=torch.bool), rows)
    return weight, x, labels, batch


def searched(kit, weight, batch, **settings):
    problem = kit.make_problem()
    problem.model, problem.num_classes = Flat(weight), len(weight)
    problem.forgotten_classes = settings.pop("forgotten", ())
    return Amun(**settings).nearest(problem, batch)


def test_examples_are_about_as_near_as_the_boundary_of_a_linear_model(kit):
    weight, x, labels, batch = linear_batch(2)
    margin = np.abs(x @ (weight[0] - weight[1]))
    nearest = margin / np.linalg.norm(weight[0] - weight[1])
    found, answers, missed = searched(kit, weight, batch, first_step=0.02)
    distance = np.linalg.norm(found.flatten(1).numpy() - x, axis=1)
    assert missed == 0
    assert answers.tolist() == (1 - labels).tolist()
    assert (distance >= nearest).all()
    assert np.median(distance / nearest) <= 1.05
    assert ((found.flatten(1).numpy() @ weight.T).argmax(axis=1) == 1 - labels).all()


def test_an_answer_is_the_models_own_and_never_a_forgotten_class(kit):
    weight, _, labels, batch = linear_batch(4)
    found, answers, missed = searched(kit, weight, batch, forgotten=(2,))
    logits = found.flatten(1).numpy() @ weight.T
    logits[:, 2] = np.where(labels == 2, logits[:, 2], -np.inf)
    assert missed == 0
    assert answers.tolist() == logits.argmax(axis=1).tolist()
    assert 2 not in answers.tolist()
    assert not (answers.numpy() == labels).any()


def test_an_utterance_that_the_model_gets_wrong_stays_and_one_too_far_away_is_counted(kit):
    weight, x, labels, batch = linear_batch(3)
    wrong = kit.replace(batch, labels=(batch.labels + 1) % 3)
    found, answers, missed = searched(kit, weight, wrong)
    torch.testing.assert_close(found, wrong.features)
    assert answers.tolist() == labels.tolist()
    assert missed == 0
    second = np.argsort(x @ weight.T, axis=1)[:, -2]
    _, answers, missed = searched(kit, weight, batch, steps=1)
    assert missed == len(x)
    assert answers.tolist() == second.tolist()


def test_the_search_is_charged_and_stops_on_a_budget(kit):
    problem = kit.make_problem()
    found = Amun(steps=10).adversaries(problem)
    count = len(problem.forget)
    assert count / 3 <= problem.budget.samples <= 10 * count
    assert found.utterances.tolist() == problem.forget.utterances.sort().values.tolist()
    limited = kit.make_problem(limit=8.0)
    outcome, _ = kit.run(Amun(), limited)
    assert outcome.stop_reason == "budget"
    assert limited.budget.samples <= 8.0 + count


@pytest.mark.parametrize("clean", [True, False])
def test_trains_on_the_examples_and_if_asked_on_the_forget_set(kit, clean):
    problem, model = kit.make_problem(), kit.TwoLayers()
    found = Amun().adversaries(kit.make_problem())
    batch, kept = kit.whole(problem.forget), kit.whole(problem.retain)
    losses = label_loss(model(found.features, found.lengths), found.labels)
    if clean:
        losses = losses + label_loss(model(batch.features, batch.lengths), batch.labels)
    total = losses.sum() + label_loss(model(kept.features, kept.lengths), kept.labels).sum()
    expected = kit.adamw_first_step(model, total / 16, 1e-3)
    kit.run(Amun(learning_rate=1e-3, epochs=1, batch_size=64, clean_forget=clean), problem)
    kit.assert_same(problem, expected)


def test_examples_are_cut_and_padded_to_the_batch():
    features = torch.arange(1.0, 13.0).reshape(2, 3, 2)
    found = Adversaries(torch.tensor([4, 9]), features, torch.tensor([3, 2]), torch.tensor([1, 0]), 0)
    for time in (2, 5):
        batch = Batch(
            torch.zeros(3, time, 2), torch.full((3,), time), torch.tensor([0, 0, 1]), torch.tensor([True, False, True]),
            torch.tensor([9, 5, 4]),
        )  # fmt: skip
        put = found.put(batch)
        assert put.labels.tolist() == [0, 0, 1]
        assert put.lengths.tolist() == [2, time, min(3, time)]
        torch.testing.assert_close(put.features[0, : min(3, time)], features[1, :time])
        assert float(put.features[0, 3:].abs().sum()) == 0
        assert float(put.features[1].abs().sum()) == 0


@pytest.mark.parametrize("kind", ["class", "mislabeled"])
def test_without_the_forget_set_itself_a_planted_one_is_forgotten(kit, kind):
    problem = kit.planted(kind)
    before = problem.accuracy(problem.model)
    kit.run(Amun(rate_share=1.0, epochs=5, batch_size=16, clean_forget=False), problem, clip_norm=1.0)
    after = problem.accuracy(problem.model)
    assert after[0] <= 0.45
    assert after[1] >= before[1] - 0.05


def test_with_it_the_answers_stay_and_only_their_confidence_falls_towards_retrains(kit):
    problem = kit.planted("sample")
    losses = [kit.score(m, problem.forget).loss for m in (problem.model, problem.retrained)]
    kit.run(Amun(rate_share=1.0, epochs=5, batch_size=16), problem, clip_norm=1.0)
    after = kit.score(problem.model, problem.forget).loss
    assert losses[0] * 2 < after < losses[1]


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match=r"steps must be in 1 … 10, got 11"):
        Amun(steps=11)
    with pytest.raises(ValueError, match="first_step must be above 0, got 0"):
        Amun(first_step=0.0)
