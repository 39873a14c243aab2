from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from orchestrator.tasks.sources import resampling
from orchestrator.tasks.sources.resampling import resampled


def tone(seconds: float, rate_hz: int, frequency_hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_usual_rates_are_resampled_by_torchaudio(rate_hz: int) -> None:
    from torchaudio.functional import resample

    samples = tone(0.2, rate_hz)
    expected = resample(torch.from_numpy(samples), rate_hz, 16_000).numpy()
    assert np.array_equal(resampled(samples, rate_hz), expected)


@pytest.mark.parametrize("rate_hz", [7_919, 11_127, 15_999, 16_001, 22_255, 44_101])
def test_odd_rates_keep_pitch_and_length(rate_hz: int) -> None:
    audio = resampled(tone(0.5, rate_hz), rate_hz)
    assert audio.dtype == np.float32
    assert len(audio) == -(-round(0.5 * rate_hz) * 16_000 // rate_hz)
    middle = slice(1000, 7000)  # away from the edges, where the filter sees nothing
    assert np.abs(audio[middle] - tone(0.5, 16_000)[middle]).max() < 0.01


def test_odd_rates_do_not_alias() -> None:
    audio = resampled(tone(0.5, 44_101, 12_000), 44_101)
    assert np.abs(audio[1000:7000]).max() < 0.01


def test_an_odd_rate_takes_little_memory_and_its_kernel_is_kept() -> None:
    resampling._low_pass.cache_clear()
    tracemalloc.start()
    resampled(tone(0.4, 16_001), 16_001)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * 2**20
    resampled(tone(0.4, 16_001), 16_001)
    assert resampling._low_pass.cache_info().hits == 1
