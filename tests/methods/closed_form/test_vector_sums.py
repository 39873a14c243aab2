from __future__ import annotations

import pytest
import torch
from torch import nn

from methods.closed_form import vector_sums
from methods.closed_form.vector_sums import IMPOSSIBLE, VectorSums


def drawn(n, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = 10 ** torch.linspace(-3, 3, width, dtype=torch.float64)
    return (torch.randn(n, width, generator=generator, dtype=torch.float64) + 7) * sizes


def heads(vectors, labels, num_classes, penalties, size=7):
    sums = VectorSums.like(vectors[:size], num_classes)
    for batch, of in zip(vectors.split(size), labels.split(size), strict=True):
        sums.add(batch, of)
    return sums.heads(penalties)


def test_the_gradient_of_the_penalized_squares_is_zero():
    vectors, labels = drawn(40, 6), torch.arange(40) % 3
    _, head = heads(vectors, labels, 3, penalties=[1.0, 7.0])
    design = (vectors - vectors.mean(dim=0)) / vectors.std(dim=0, correction=0)
    weights, bias = head.weights.clone().requires_grad_(), head.bias.clone().requires_grad_()
    targets = nn.functional.one_hot(labels, 3).double()
    ((design @ weights + bias - targets).square().sum() + 7.0 * weights.square().sum()).backward()
    for gradient in (weights.grad, bias.grad):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-9)


@pytest.mark.parametrize("penalty", [1.0, 1000.0])
def test_batch_by_batch_the_scores_are_those_of_the_whole_design(penalty):
    vectors, labels = drawn(60, 12), torch.arange(60) % 4
    vectors[:, 3] = 5.0  # tells nothing
    deviation = vectors.std(dim=0, correction=0).clamp(min=1e-6)
    design = torch.cat([(vectors - vectors.mean(dim=0)) / deviation, torch.ones(60, 1).double()], dim=1)
    targets = nn.functional.one_hot(labels, 4).double()
    penalties = torch.diag(torch.tensor([penalty] * 12 + [0.0]).double())
    expected = design @ torch.linalg.solve(design.T @ design + penalties, design.T @ targets)
    for size in (1, 7, 60):
        *_, head = heads(vectors, labels, 4, penalties=[3.0, penalty], size=size)
        torch.testing.assert_close(head.scores(vectors), expected, rtol=1e-9, atol=1e-10)


def test_a_class_that_is_not_there_is_never_predicted():
    vectors, labels = drawn(20, 4), torch.arange(20) % 2 * 2  # of classes 0, 1, 2
    (head,) = heads(vectors, labels, 3, penalties=[1.0])
    assert head.absent.tolist() == [False, True, False]
    assert head.scores(vectors)[:, 1].eq(IMPOSSIBLE).all()
    assert head.scores(vectors).argmax(dim=1).eq(labels).any()


def test_wide_vectors_are_folded_to_the_bound_and_still_separate_classes(monkeypatch):
    monkeypatch.setattr(vector_sums, "WIDEST", 64)
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(300) % 3
    centers = torch.randn(3, 1000, generator=generator, dtype=torch.float64)
    vectors = centers[labels] + 2 * torch.randn(300, 1000, generator=generator, dtype=torch.float64)
    vectors *= 10 ** torch.linspace(-1, 1, 1000, dtype=torch.float64)
    (head,) = heads(vectors[:200], labels[:200], 3, penalties=[10.0], size=64)
    assert head.weights.shape == (64, 3)
    assert (head.scores(vectors[200:]).argmax(dim=1) == labels[200:]).double().mean() > 0.9


def test_no_sum_is_wider_than_the_bound():
    wide = torch.zeros(2, 50_000, dtype=torch.float64)
    sums = VectorSums.like(wide, 3)
    assert sums.gram.shape == (vector_sums.WIDEST, vector_sums.WIDEST)
    assert sum(t.numel() for t in (sums.gram, sums.by_class, sums.total)) * 8 < 0.14e9
