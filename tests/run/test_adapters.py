"""LoRA on every packaged backbone: the adapters sit where the backbone says and leave nothing behind."""

from __future__ import annotations

import pytest
import torch

from methods.modifiers.lora import Lora, add_adapters, merge_adapters
from orchestrator import plugins

CLASSIFIERS = (name for name in plugins.names("backbones") if plugins.load("backbones", name).target == "classes")
PACKAGED = [name for name in CLASSIFIERS if name.endswith("_nano") or name.startswith("logmel")]


@pytest.mark.parametrize("name", PACKAGED)
def test_adapters_merge_into_the_weights_of_every_packaged_backbone(name):
    torch.manual_seed(0)
    backbone = plugins.load("backbones", name)
    model = backbone.build(5).eval()
    names, before = list(model.state_dict()), {k: v.clone() for k, v in model.state_dict().items()}
    features, lengths = backbone.frontend(torch.device("cpu"))(torch.randn(2, 8000) * 0.1, torch.tensor([8000, 6000]))
    plain = model(features, lengths)
    moved = add_adapters(model, Lora(rank=2))
    torch.testing.assert_close(model(features, lengths), plain)
    adapters = [p for key, p in model.named_parameters() if "lora_B" in key]
    assert len(adapters) == len(model.adapter_targets)
    with torch.no_grad():
        for p in adapters:
            p.normal_(std=0.05)
    adapted = model(features, lengths)
    assert not torch.allclose(adapted, plain, atol=1e-3)
    merge_adapters(model, moved)
    torch.testing.assert_close(model(features, lengths), adapted, rtol=1e-3, atol=1e-4)
    after = model.state_dict()
    assert list(after) == names
    moved = {key.removesuffix(".weight") for key in names if not torch.equal(after[key], before[key])}
    assert moved == set(model.adapter_targets)
