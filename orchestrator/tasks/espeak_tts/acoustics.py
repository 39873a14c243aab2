"""Turn rendered words into recorded clips: sampling rate, position, noise and level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.tasks.base import SAMPLE_RATE_HZ

NOISES = ("white", "pink", "brown", "hum", "babble")
BABBLE_TALKERS = 5
FULL_SCALE = 32767.0
PEAK = 0.98  # of full scale; a louder clip is turned down as a whole, which leaves its SNR as drawn

Wave = npt.NDArray[np.float32]


def resampled(waves: Sequence[npt.NDArray[np.int16]], rate_hz: int) -> list[Wave]:
    """Each (samples,) of `waves` from `rate_hz` to 16 kHz, as fractions of full scale."""
    import torch

    # All in one go, each wave at a whole number of periods, as if it were alone, and with silence enough to ring out.
    period, slow_period = (rate // math.gcd(rate_hz, SAMPLE_RATE_HZ) for rate in (rate_hz, SAMPLE_RATE_HZ))
    starts = list(accumulate((len(wave) // period + 2 for wave in waves), initial=1))
    joined = np.zeros(starts[-1] * period, dtype=np.float32)
    for start, wave in zip(starts, waves, strict=False):
        joined[start * period : start * period + len(wave)] = wave / FULL_SCALE
    slow = _resampler(rate_hz)(torch.from_numpy(joined)).numpy()
    lengths = (math.ceil(len(wave) * SAMPLE_RATE_HZ / rate_hz) for wave in waves)
    return [
        slow[start * slow_period : start * slow_period + length] for start, length in zip(starts, lengths, strict=False)
    ]


def placed(word: Wave, length: int, position: float) -> Wave:
    """(length,) with `word` in it: `position` 0 is the start, 1 the end; a word that is too long is cut off."""
    clip = np.zeros(length, dtype=np.float32)
    word = word[:length]
    start = round(position * (length - len(word)))
    clip[start : start + len(word)] = word
    return clip


def noise(kind: str, length: int, rng: np.random.Generator, talkers: Sequence[Wave]) -> Wave:
    """(length,) noise with RMS 1. Babble is summed from `talkers`; mains hum has a random frequency and some hiss."""
    if kind == "babble":
        chosen = [talkers[number] for number in rng.integers(len(talkers), size=BABBLE_TALKERS)]
        turned = [np.resize(np.roll(talker, rng.integers(len(talker))), length) / _rms(talker) for talker in chosen]
        samples = np.sum(turned, axis=0)
    elif kind == "hum":
        mains_hz = rng.choice([50.0, 60.0]) * rng.uniform(0.98, 1.02)
        rotation = np.exp(2j * np.pi * mains_hz / SAMPLE_RATE_HZ * np.arange(length))
        strengths = rng.uniform(0.2, 1.0, size=12) / np.arange(1, 13) * np.exp(2j * np.pi * rng.uniform(size=12))
        tones = (rotation * np.polyval(strengths[::-1], rotation)).real  # the first twelve harmonics
        samples = tones / _rms(tones) + 0.2 * rng.standard_normal(length)
    elif kind == "white":
        samples = rng.standard_normal(length)
    else:
        slope = {"pink": 0.5, "brown": 1.0}[kind]  # amplitude falls with frequency to this power
        spectrum = np.fft.rfft(rng.standard_normal(length))
        hertz = np.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ)
        samples = np.fft.irfft(spectrum / np.maximum(hertz, 20.0) ** slope, length)
    return np.asarray(samples / _rms(samples), dtype=np.float32)


def mixed(speech: Wave, background: Wave, snr_db: float, level_db: float) -> npt.NDArray[np.int16]:
    """(length,) clip: speech at `level_db` (RMS while it sounds, dB of full scale), noise `snr_db` below it.

    Without speech (all zeros), the noise is as loud as next to speech, so that loudness does not reveal silence.
    """
    loudness = 10 ** (level_db / 20)
    sounding = np.trim_zeros(speech)
    voice = speech * (loudness / _rms(sounding)) if len(sounding) else speech
    clip = voice + background * (loudness * 10 ** (-snr_db / 20))
    clip = clip * min(1.0, PEAK / float(np.max(np.abs(clip))))
    return np.asarray(np.round(clip * FULL_SCALE), dtype=np.int16)


@cache
def _resampler(rate_hz: int) -> Any:
    from torchaudio.transforms import Resample

    return Resample(rate_hz, SAMPLE_RATE_HZ)  # keeps its filter, which takes longer to make than to apply


def _rms(wave: npt.NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
