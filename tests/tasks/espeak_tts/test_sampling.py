from __future__ import annotations

import numpy as np
import pytest

from orchestrator.tasks.espeak_tts.sampling import (
    Conditions,
    Role,
    deal,
    draw_clips,
    draw_speakers,
    draw_talkers,
    generator,
)

VARIANTS = [f"v{number}" for number in range(50)]
CONDITIONS = Conditions(
    snr_db=(5.0, 25.0), level_db=(-35.0, -18.0), noises=("white", "hum"), pitch_jitter=3.0, rate_jitter=8.0
)


@pytest.fixture(autouse=True)
def _genders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.tasks.espeak_tts.sampling.gender", lambda variant: None)


def test_draws_depend_on_seed_and_purpose_only() -> None:
    drawn = [generator(seed, purpose).integers(2**60) for seed, purpose in ((0, "a"), (0, "a"), (0, "b"), (1, "a"))]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


@pytest.mark.parametrize("count", [1, 5, 12, 60])
def test_dealing_gives_every_item_equally_often(count: int) -> None:
    dealt = deal(generator(0, "deal"), "abcde", count)
    assert len(dealt) == count
    assert max(dealt.count(item) for item in "abcde") - min(dealt.count(item) for item in "abcde") <= 1


@pytest.mark.parametrize(("count", "spread"), [(20, 0.3), (60, 1.0), (1211, 1.0), (1211, 0.3)])
def test_no_two_speakers_have_the_same_voice(count: int, spread: float) -> None:
    speakers = draw_speakers(3, count, VARIANTS, spread)
    assert len({speaker[1:] for speaker in speakers}) == count
    assert [speaker.name for speaker in speakers] == [f"s{number:04d}" for number in range(count)]
    assert speakers == draw_speakers(3, count, VARIANTS, spread)
    assert speakers != draw_speakers(4, count, VARIANTS, spread)


def test_a_narrow_spread_brings_voices_closer() -> None:
    wide, narrow = (draw_speakers(0, 200, VARIANTS, spread) for spread in (1.0, 0.2))
    for attribute in ("pitch", "words_per_minute"):
        assert np.std([getattr(s, attribute) for s in narrow]) < 0.4 * np.std([getattr(s, attribute) for s in wide])
    for attribute, most in (("variant", 10), ("accent", 2)):
        assert len({getattr(speaker, attribute) for speaker in narrow}) <= most


def test_a_spread_too_narrow_for_so_many_voices_is_refused() -> None:
    with pytest.raises(ValueError, match=r"voice_spread is too small .* got 0.01 for 100 speakers, allowed: at most"):
        draw_speakers(0, 100, VARIANTS, 0.01)


def test_conditions_are_drawn_within_their_ranges_and_alike_for_every_split() -> None:
    speakers = draw_speakers(0, 4, VARIANTS, 1.0)
    roles = [Role(split, "yes", "yes", speaker) for split in ("train", "test") for speaker in speakers * 250]
    clips = draw_clips(0, roles, CONDITIONS)
    assert sorted(clip.role for clip in clips) == sorted(roles)
    assert [clip.number for clip in clips] == list(range(len(roles)))
    for clip in clips:
        assert 5 <= clip.snr_db <= 25
        assert -35 <= clip.level_db <= -18
        assert 0 <= clip.position <= 1
    for value in ("snr_db", "level_db", "position"):
        means = [np.mean([getattr(c, value) for c in clips if c.role.split == split]) for split in ("train", "test")]
        spread = np.std([getattr(clip, value) for clip in clips])
        assert abs(means[0] - means[1]) < 0.2 * spread
    assert [sum(clip.noise == kind for clip in clips) for kind in ("white", "hum")] == [1000, 1000]


def test_a_speaker_varies_a_little_around_its_own_pitch_and_rate() -> None:
    speaker = draw_speakers(0, 1, VARIANTS, 0.2)[0]
    clips = draw_clips(0, [Role("train", "yes", "yes", speaker)] * 500, CONDITIONS)
    assert np.std([clip.pitch - speaker.pitch for clip in clips]) == pytest.approx(3, rel=0.2)
    assert np.std([clip.words_per_minute - speaker.words_per_minute for clip in clips]) == pytest.approx(8, rel=0.2)
    steady = Conditions(snr_db=(5, 25), level_db=(-35, -18), noises=("hum",), pitch_jitter=0, rate_jitter=0)
    assert {clip.pitch for clip in draw_clips(0, [Role("train", "yes", "yes", speaker)] * 9, steady)} == {speaker.pitch}


def test_nobody_speaks_without_a_speaker() -> None:
    assert draw_clips(0, [Role("train", "_silence_", "", None)], CONDITIONS)[0].line is None


def test_talkers_have_different_voices() -> None:
    lines = draw_talkers(0, 40, VARIANTS, ["table", "lemon"])
    assert len({line[:1] + line[2:] for line in lines}) == 40
    assert all(set(line.text.split()) <= {"table", "lemon"} and len(line.text.split()) == 4 for line in lines)
