from __future__ import annotations

import torch
from torch import nn

from backbones.heads import Readout, masked_mean, new_linear, valid_frames


def test_masked_mean_is_the_mean_of_the_valid_frames_alone() -> None:
    frames = torch.randn(2, 6, 3)
    lengths = torch.tensor([6, 2])
    means = masked_mean(frames, valid_frames(lengths, 6))
    assert torch.allclose(means[0], frames[0].mean(dim=0))
    assert torch.allclose(means[1], frames[1, :2].mean(dim=0))


def test_without_a_mask_every_frame_counts() -> None:
    frames = torch.randn(2, 6, 3)
    assert torch.allclose(masked_mean(frames, None), frames.mean(dim=1))


def test_projecting_the_mean_equals_averaging_the_projections() -> None:
    frames, valid = torch.randn(2, 6, 8), valid_frames(torch.tensor([6, 4]), 6)
    projector, norm = nn.Linear(8, 5), nn.LayerNorm(8)
    expected = masked_mean(projector(norm(frames)), valid)
    assert torch.allclose(Readout(projector, norm)(frames, valid), expected, atol=1e-6)


def test_new_layers_have_small_weights_and_no_bias() -> None:
    torch.manual_seed(0)
    layer = new_linear(256, 256, std=0.02)
    assert abs(float(layer.weight.detach().std()) - 0.02) < 1e-3
    assert not layer.bias.any()
