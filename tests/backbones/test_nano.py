"""The three small encoders that ship with the package: small, whole, and worth starting from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from backbones.checkpoints import packaged_file
from orchestrator import plugins
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.espeak import EspeakKeywords

NAMES = ("whisper_nano", "wav2vec2_nano", "hubert_nano")


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_small_and_in_float16(name):
    from safetensors.torch import load_file

    path = packaged_file(f"packaged:{name}")
    assert path.stat().st_size <= 1.5e6
    weights = load_file(path)
    assert {value.dtype for value in weights.values()} == {torch.float16}
    assert sum(value.numel() for value in weights.values()) <= 500_000
    assert all(torch.isfinite(value.float()).all() for value in weights.values())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return open_corpus(
        EspeakKeywords(clips=360, speakers=12, voice_spread=0.5, snr_db=(10.0, 30.0)), tmp_path_factory.mktemp("nano")
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_linear_probe_hears_more_in_pretrained_weights_than_in_random_ones(name, corpus):
    backbone = plugins.load("backbones", name)
    audio = torch.from_numpy(np.stack([corpus.audio(row) for row in range(len(corpus))])).float() / 32768
    features, lengths = backbone.frontend(torch.device("cpu"))(audio, torch.full((len(audio),), audio.shape[1]))
    train, test = corpus.rows("train"), corpus.rows("test")
    scores = []
    for pretrained in (True, False):
        torch.manual_seed(0)
        model = backbone.build(12, pretrained=pretrained).eval()
        with torch.no_grad():
            heard = torch.cat([model.embed(f, n) for f, n in zip(features.split(60), lengths.split(60), strict=True)])
        heard = (heard - heard.mean(0)) / (heard.std(0) + 1e-6)
        probe = LogisticRegression(max_iter=300, C=0.1).fit(heard[train], corpus.labels[train])
        scores.append(probe.score(heard[test], corpus.labels[test]))
    assert scores[0] > scores[1] + 0.2
