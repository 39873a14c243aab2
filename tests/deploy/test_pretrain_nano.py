"""Batches of the pretraining have the signal-to-noise ratios that its schedule says; mel bands are standardized."""

from __future__ import annotations

import pytest
import torch

from orchestrator.deploy.pretrain_nano import (
    EASIEST_SNR_DB,
    LOWEST_SNR_DB,
    MEL_BANDS,
    SNR_SPAN_DB,
    Clean,
    nano_config,
    new_model,
    standardize,
)

CLIPS, SAMPLES = 40, 16_000


@pytest.fixture
def silence():
    """Silent clips with a level of -20 dB, so that a batch consists of noise only."""
    noise = torch.randn(3, SAMPLES, generator=torch.Generator().manual_seed(0))
    return Clean(
        audio=torch.zeros(CLIPS, SAMPLES, dtype=torch.int16),
        level_db=torch.full((CLIPS,), -20.0),
        words=torch.zeros(CLIPS, dtype=torch.long),
        voices=torch.zeros(CLIPS, dtype=torch.long),
        noise=noise / noise.square().mean(1, keepdim=True).sqrt(),
    )


@pytest.mark.parametrize(("done", "lowest"), [(0.0, EASIEST_SNR_DB), (1.0, LOWEST_SNR_DB)])
def test_noise_is_weak_at_first_and_strong_later(silence, done, lowest):
    batch = silence.batch(torch.arange(CLIPS), done, torch.Generator().manual_seed(1))
    snr_db = -20.0 - 10 * batch.square().mean(1).log10()
    assert batch.shape == (CLIPS, SAMPLES)
    assert (snr_db >= lowest - 0.01).all()
    assert (snr_db <= lowest + SNR_SPAN_DB + 0.01).all()
    assert snr_db.max() - snr_db.min() > SNR_SPAN_DB / 2


def test_standardizing_equals_a_convolution_of_standardized_bands():
    torch.manual_seed(0)
    model = new_model("whisper", nano_config("whisper"), num_words=3)
    features = torch.randn(4, 50, MEL_BANDS) * torch.linspace(1, 3, MEL_BANDS) - 5
    convolution = model.stem.conv1
    expected = convolution(((features - features.mean((0, 1))) / features.std((0, 1))).mT)
    standardize(model, features)
    inside = slice(1, -1)  # at its ends a clip is padded with zeros
    torch.testing.assert_close(convolution(features.mT)[..., inside], expected[..., inside], rtol=1e-3, atol=1e-4)
