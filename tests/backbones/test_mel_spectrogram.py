from __future__ import annotations

import pytest
import torch

from backbones.mel_spectrogram import log_mel, mel_filters, pad_samples

CPU = torch.device("cpu")


@pytest.mark.parametrize("seconds", [1, 30])
def test_log_mel_equals_whispers_feature_extractor(seconds: int, clips: tuple[torch.Tensor, torch.Tensor]) -> None:
    from transformers import WhisperFeatureExtractor

    theirs = WhisperFeatureExtractor(chunk_length=seconds)(clips[0].numpy(), sampling_rate=16_000, return_tensors="pt")
    ours = log_mel(pad_samples(clips[0], 16_000 * seconds), mel_filters(80, CPU))
    assert ours.shape == (3, 100 * seconds, 80)
    assert (ours.transpose(1, 2) - theirs.input_features).abs().max() < 1e-6


def test_a_loud_neighbour_does_not_raise_the_floor(clips: tuple[torch.Tensor, torch.Tensor]) -> None:
    filters = mel_filters(80, CPU)
    quiet = 1e-4 * clips[0][:1]
    alone = log_mel(quiet, filters)
    together = log_mel(torch.cat([quiet, clips[0][1:]]), filters)
    assert torch.allclose(alone[0], together[0], atol=1e-6)


def test_silence_is_finite() -> None:
    assert log_mel(torch.zeros(1, 3200), mel_filters(40, CPU)).isfinite().all()
