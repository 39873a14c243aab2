from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from backbones.logmel import VARIANTS

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_networks_are_small(name: str) -> None:
    assert 100_000 < sum(p.numel() for p in VARIANTS[name]().build(12).parameters()) < 300_000


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_networks_learn_a_tone_from_noise(name: str) -> None:
    torch.manual_seed(0)
    noise = 0.1 * torch.randn(16, 8_000)
    tones = noise + torch.sin(torch.arange(8_000) * 2 * torch.pi * 440 / 16_000)
    backbone = VARIANTS[name]()
    features, lengths = backbone.frontend(CPU)(torch.cat([noise, tones]), torch.full((32,), 8_000))
    labels = torch.arange(32) // 16
    model = backbone.build(2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(15):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(features, lengths), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert (model(features, lengths).argmax(dim=1) == labels).all()


@pytest.mark.parametrize(("training", "gradients"), [(True, True), (True, False), (False, True), (False, False)])
def test_recurrence_does_without_cudnn_only_where_cudnn_has_no_backward(training: bool, gradients: bool) -> None:
    model, before, seen = VARIANTS["logmel_gru"]().build(2), torch.backends.cudnn.enabled, []
    for layer in model.modules():
        if isinstance(layer, torch.nn.GRU):
            layer.register_forward_pre_hook(lambda *_: seen.append(torch.backends.cudnn.enabled))
    with torch.set_grad_enabled(gradients):
        model.train(training)(torch.zeros(1, 20, 40), torch.tensor([20]))
    assert seen == [before and (training or not gradients)] * 2
    assert torch.backends.cudnn.enabled == before


def test_a_saved_model_says_what_it_is(tmp_path: Path) -> None:
    backbone = VARIANTS["logmel_cnn"](widths=(8, 8))
    backbone.save_pretrained(backbone.build(2), tmp_path, ["a", "b"], clip_samples=8_000)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["backbone"] == "LogMelCnn"
    assert config["classes"] == ["a", "b"]
    assert config["settings"]["widths"] == [8, 8]
