"""Every attention layer runs PyTorch's scaled_dot_product_attention, pretrained or random."""

from __future__ import annotations

import pytest
import torch

from orchestrator import plugins


@pytest.mark.parametrize("pretrained", [True, False])
@pytest.mark.parametrize(
    ("tiny", "plugin"),
    [("whisper", "whisper_tiny"), ("wav2vec2-layer", "wav2vec2_large"), ("hubert-group", "hubert_base")],
)
def test_attention_is_fused(tiny_folder, clips, tiny, plugin, pretrained, monkeypatch):
    backbone = plugins.load("backbones", plugin, checkpoint=tiny_folder(tiny))
    features, lengths = backbone.frontend(torch.device("cpu"))(*clips)
    model = backbone.build(3, pretrained=pretrained)
    calls = []
    real = torch.nn.functional.scaled_dot_product_attention

    def counted(*arguments, **settings):
        calls.append(1)
        return real(*arguments, **settings)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", counted)
    model(features, lengths)
    assert len(calls) == 2  # layers
