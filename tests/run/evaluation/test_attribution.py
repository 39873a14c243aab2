"""Integrated gradients on functions whose attributions are known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from methods.base import Batch
from orchestrator.run.evaluation.attribution import MOST_BINS, attribution_maps, integrated_gradients, time_bins

FRAMES, BANDS, CLASSES = 6, 3, 4


class Net(nn.Module):
    def __init__(self, curved: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(FRAMES * BANDS, 8), nn.Tanh() if curved else nn.Identity(), nn.Linear(8, CLASSES)
        )

    def forward(self, features, lengths):
        return self.layers(features)


@pytest.fixture
def batch() -> Batch:
    torch.manual_seed(0)
    return Batch(
        features=torch.randn(5, FRAMES, BANDS),
        lengths=torch.full((5,), FRAMES),
        labels=torch.tensor([0, 1, 2, 3, 0]),
        is_forget=torch.ones(5, dtype=torch.bool),
        utterances=torch.arange(5),
    )


def test_of_a_linear_model_they_are_weight_times_feature(batch) -> None:
    net = Net(curved=False)
    weights = (net.layers[3].weight @ net.layers[1].weight)[batch.labels].reshape(batch.features.shape)
    assert torch.allclose(integrated_gradients(net, batch, steps=1), weights * batch.features, atol=1e-6)


def test_they_add_up_to_the_logit_above_the_baselines(batch) -> None:
    net = Net(curved=True)
    with torch.no_grad():
        logits, base = net(batch.features, None), net(torch.zeros_like(batch.features), None)
    gained = (logits - base)[torch.arange(5), batch.labels]
    total = integrated_gradients(net, batch, steps=200).flatten(1).sum(1)
    assert torch.allclose(total, gained, atol=1e-3)


def test_the_model_keeps_its_mode_its_gradients_and_its_weights(batch) -> None:
    net = Net(curved=True).train()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    attribution_maps(net, iter([batch]), steps=2)
    assert net.training
    assert all(p.requires_grad and p.grad is None and torch.equal(p, before[n]) for n, p in net.named_parameters())


@pytest.mark.parametrize("shape", [(2, 7, 3), (2, 130, 4), (2, 16_000)])
def test_time_bins_keep_the_sum_and_are_few(shape) -> None:
    values = torch.randn(*shape, dtype=torch.float64)
    bins = time_bins(values)
    assert bins.shape[0] == 2
    assert bins.shape[1] <= MOST_BINS
    assert torch.allclose(bins.sum(1), values.flatten(1).sum(1))
