from __future__ import annotations

import numpy as np
import pytest

from orchestrator.tasks.espeak_tts.acoustics import NOISES, mixed, noise, placed, resampled

TALKERS = [np.random.default_rng(number).standard_normal(3000).astype(np.float32) for number in range(6)]


def rms(wave: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))


def test_a_wave_is_resampled_as_if_it_were_alone() -> None:
    rng = np.random.default_rng(0)
    waves = [(3000 * rng.standard_normal(length)).astype(np.int16) for length in (1, 440, 441, 442, 5000)]
    for together, wave in zip(resampled(waves, 22_050), waves, strict=True):
        assert np.allclose(together, resampled([wave], 22_050)[0], atol=1e-6)
        assert len(together) == np.ceil(len(wave) * 16_000 / 22_050)


def test_resampling_keeps_a_tone_and_removes_what_16_khz_cannot_hold() -> None:
    time = np.arange(22_050) / 22_050
    low, high = ((10_000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16) for hertz in (1000, 9500))
    slow_low, slow_high = resampled([low, high], 22_050)
    assert np.argmax(np.abs(np.fft.rfft(slow_low))) == 1000
    assert rms(slow_low) == pytest.approx(10_000 / 32_767 / np.sqrt(2), rel=0.02)
    assert rms(slow_high) < 0.1 * rms(slow_low)


def test_a_word_lies_where_it_was_put() -> None:
    word = np.ones(30, dtype=np.float32)
    for position, start in ((0.0, 0), (0.5, 35), (1.0, 70)):
        assert np.flatnonzero(placed(word, 100, position)).tolist() == list(range(start, start + 30))


def test_a_word_that_is_too_long_is_cut_to_the_clip() -> None:
    word = np.arange(1, 151, dtype=np.float32)
    assert np.array_equal(placed(word, 100, 0.7), word[:100])


@pytest.mark.parametrize("kind", NOISES)
def test_noise_has_rms_one_and_follows_its_generator(kind: str) -> None:
    waves = [noise(kind, 8000, np.random.default_rng(seed), TALKERS) for seed in (0, 0, 1)]
    assert np.array_equal(waves[0], waves[1])
    assert not np.array_equal(waves[0], waves[2])
    assert rms(waves[0]) == pytest.approx(1, rel=1e-4)
    assert len(waves[0]) == 8000


def test_each_kind_of_noise_has_its_colour() -> None:
    share_below_1_khz = {}
    for kind in NOISES:
        power = np.abs(np.fft.rfft(noise(kind, 16_000, np.random.default_rng(0), TALKERS))) ** 2
        share_below_1_khz[kind] = power[:1000].sum() / power.sum()
    assert share_below_1_khz["white"] == pytest.approx(1 / 8, abs=0.02)
    assert share_below_1_khz["white"] < share_below_1_khz["pink"] < share_below_1_khz["brown"]
    assert share_below_1_khz["hum"] > 0.95


def test_babble_is_made_of_its_talkers() -> None:
    tones = [np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000).astype(np.float32) for hertz in (300, 700)]
    power = np.abs(np.fft.rfft(noise("babble", 16_000, np.random.default_rng(1), tones))) ** 2
    assert power[[300, 700]].sum() > 0.99 * power.sum()


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_level_and_snr_are_those_of_the_word_while_it_sounds(snr_db: float) -> None:
    rng = np.random.default_rng(0)
    word = rng.standard_normal(4000).astype(np.float32)
    background = noise("white", 16_000, rng, [])
    speech = placed(word, 16_000, 0.5)
    clip = mixed(speech, background, snr_db, -30.0) / 32_767
    noise_part = np.where(speech == 0, clip, 0)
    assert 20 * np.log10(rms(noise_part[speech == 0])) == pytest.approx(-30 - snr_db, abs=0.1)
    together = 10 * np.log10(10**-3 + 10 ** (-3 - snr_db / 10))
    assert 20 * np.log10(rms(clip[speech != 0])) == pytest.approx(together, abs=0.3)


def test_without_speech_the_noise_is_as_loud_as_beside_speech() -> None:
    rng = np.random.default_rng(0)
    background = noise("pink", 16_000, rng, [])
    clip = mixed(np.zeros(16_000, dtype=np.float32), background, 10.0, -20.0) / 32_767
    assert 20 * np.log10(rms(clip)) == pytest.approx(-30, abs=0.1)


def test_a_clip_that_would_be_too_loud_is_turned_down_and_not_clipped() -> None:
    word = placed(np.sin(np.arange(4000) / 5).astype(np.float32) ** 9, 16_000, 0.5)
    background = noise("white", 16_000, np.random.default_rng(0), [])
    loud, quiet = (mixed(word, background, 10.0, level).astype(np.float64) for level in (0.0, -30.0))
    assert np.abs(loud).max() == round(0.98 * 32_767)
    assert np.corrcoef(loud, quiet)[0, 1] > 0.9999
