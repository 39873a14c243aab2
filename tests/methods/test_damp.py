"""DAMP: directions and projection in NumPy, the strength of each layer by hand, and a planted class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from methods.damp import Damp, editable, forget_directions, project


@pytest.mark.parametrize("count", [1, 3])
def test_directions_span_what_the_means_have_beyond_the_retained_ones(count):
    generator = np.random.default_rng(0)
    forget, retain = generator.normal(size=(count, 9)), generator.normal(size=(4, 9))
    residual = forget.T - retain.T @ np.linalg.pinv(retain.T) @ forget.T
    q, _ = np.linalg.qr(residual)
    found = forget_directions(torch.tensor(forget), torch.tensor(retain)).numpy()
    np.testing.assert_allclose(found @ found.T, q @ q.T, atol=1e-10)
    np.testing.assert_allclose(retain @ found, 0, atol=1e-10)


def test_what_the_retained_classes_span_is_no_direction():
    generator = np.random.default_rng(0)
    retain = generator.normal(size=(4, 9))
    inside = generator.normal(size=(2, 4)) @ retain
    assert forget_directions(torch.tensor(inside), torch.tensor(retain)).shape == (9, 0)
    assert forget_directions(torch.tensor(retain[:2]), torch.tensor(retain[:0])).shape == (9, 2)


@pytest.mark.parametrize("layer", [nn.Linear(6, 4), nn.Conv1d(6, 4, 3), nn.Conv2d(6, 4, (3, 2))], ids=lambda m: str(m))
def test_a_layer_no_longer_reads_a_direction_and_reads_the_others_as_before(layer):
    generator = np.random.default_rng(0)
    q = np.linalg.qr(generator.normal(size=(6, 2)))[0]
    before = layer.weight.detach().numpy().copy()
    project(layer, torch.tensor(q), 0.75)
    expected = np.einsum("oi...,ij->oj...", before, np.eye(6) - 0.75 * q @ q.T)
    np.testing.assert_allclose(layer.weight.detach().numpy(), expected, atol=1e-6)


def test_each_layer_is_edited_by_its_separability_and_depth(kit):
    problem, method = kit.planted("class"), Damp(strength=0.8)
    model = kit.planted("class").model
    sets = [kit.whole(s) for s in (problem.forget, problem.retain)]
    chosen = problem.retain.select(torch.arange(len(problem.retain)) % 2 == 1).sample(
        len(problem.forget) // 2, torch.Generator().manual_seed(0)
    )
    kit.run(method, problem)
    reads = {
        "body": lambda batch: batch.features.mean(dim=1),
        "head": lambda batch: model.embed(batch.features, batch.lengths),
    }
    for depth, (name, read) in zip((0.5, 1.0), reads.items(), strict=True):
        vectors = [read(batch).detach().double().numpy() for batch in sets]
        middle = [v[::2].mean(axis=0) for v in vectors]
        tested = vectors[0][1::2], read(kit.whole(chosen)).detach().double().numpy()
        plane, at = middle[0] - middle[1], (middle[0] + middle[1]) / 2
        right = ((tested[0] - at) @ plane > 0).mean() + ((tested[1] - at) @ plane < 0).mean()
        alpha = 0.8 * (right - 1) * depth
        means = [
            np.stack([v[batch.labels.numpy() == c].mean(axis=0) for c in batch.labels.unique().tolist()])
            for v, batch in zip(vectors, sets, strict=True)
        ]
        residual = means[0].T - means[1].T @ np.linalg.pinv(means[1].T) @ means[0].T
        q, _ = np.linalg.qr(residual)
        old = getattr(model, name).weight.detach().double().numpy()
        found = getattr(problem.model, name).weight.detach().numpy()
        assert 0 < alpha < 1
        np.testing.assert_allclose(found, old - alpha * old @ q @ q.T, atol=1e-4)
        assert torch.equal(getattr(problem.model, name).bias, getattr(model, name).bias)


def test_frozen_grouped_and_recurrent_layers_are_left_alone():
    class Layers(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(
                [nn.Linear(4, 4).requires_grad_(False), nn.Conv1d(4, 4, 1, groups=2), nn.GRU(4, 4), nn.Linear(4, 2)]
            )

    found = editable(Layers())
    assert [(type(inputs.layer), inputs.depth) for inputs in found] == [(nn.Linear, 1.0)]


def test_a_planted_class_is_forgotten_without_a_training_step_and_a_random_sample_is_not(kit):
    problem = kit.planted("class")
    before = problem.accuracy(problem.model)
    outcome, _ = kit.run(Damp(strength=3.0), problem)
    after = problem.accuracy(problem.model)
    count, rest = len(problem.forget), len(problem.retain)
    assert outcome.steps == 0
    assert problem.budget.samples == pytest.approx((count + rest + count) / 3)
    assert before[0] == 1.0
    assert after[0] <= 0.1
    assert after[1] >= before[1] - 0.05
    sample = kit.planted("sample")
    kit.run(Damp(), sample)
    assert sample.accuracy(sample.model)[0] == 1.0  # it looks like the rest: a method for classes


@pytest.mark.parametrize("sizes", [{"forget": 1}, {"retain": 1}])
def test_a_set_of_one_utterance_cannot_be_probed_so_nothing_is_edited_or_charged(kit, sizes):
    problem = kit.make_problem(**sizes)
    before = kit.weights(problem.model)
    outcome, _ = kit.run(Damp(), problem)
    kit.assert_same(problem, before)
    assert (outcome.stop_reason, problem.budget.samples) == ("finished", 0)
    (note,) = problem.notes
    assert "no layer was edited: the probe needs two utterances" in note
    kit.run(Damp(), kit.make_problem(forget=2, retain=2))


def test_a_strength_of_nothing_is_refused():
    with pytest.raises(ValueError, match="strength must be above 0, got 0"):
        Damp(strength=0.0)
