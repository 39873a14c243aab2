"""Recordings of digits: names, splits and silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tasks.recordings import write

from orchestrator.tasks.normalizers import DIGITS, english_1
from orchestrator.tasks.sources.digit_takes import (
    ARABIC,
    about_english_speakers,
    arabic_takes,
    english_takes,
    without_silence,
)


def test_takes_say_digit_speaker_and_split(tmp_path: Path) -> None:
    write(tmp_path / "recordings", ["7_ann_4.wav", "7_ann_5.wav", "3_bob_10.wav", "notes_x.wav"])
    found = {take.name: (take.digit, take.speaker, take.split) for take in english_takes(str(tmp_path))}
    assert found == {
        "7_ann_4.wav": (7, "ann", "test"), "7_ann_5.wav": (7, "ann", "validation"), "3_bob_10.wav": (3, "bob", "train"),
    }  # fmt: skip
    write(tmp_path, [f"two/01_{take:02d}.flac" for take in (7, 8, 9)])
    assert [(t.digit, t.speaker, t.split) for t in arabic_takes(str(tmp_path))] == [
        (2, "s01", "train"), (2, "s01", "validation"), (2, "s01", "test"),
    ]  # fmt: skip


def test_a_root_without_digits_is_refused_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"without recordings/<digit>_<speaker>_<take>\.wav"):
        english_takes(str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"without <zero to nine>/<speaker>_<take>\.flac"):
        arabic_takes(str(tmp_path))


def test_the_transliteration_has_one_word_for_each_digit_that_the_normalizer_keeps() -> None:
    assert len(set(ARABIC)) == 10
    assert not set(ARABIC) & set(DIGITS)
    assert all(english_1(word) == word for word in ARABIC)


def test_silence_around_a_digit_is_cut_off_but_a_little() -> None:
    speech = np.random.default_rng(0).integers(-8000, 8000, 3200).astype(np.int16)
    hiss = np.random.default_rng(1).integers(-8, 8, 8000).astype(np.int16)
    kept = without_silence(np.concatenate([hiss, speech, hiss]))
    assert len(speech) <= len(kept) <= len(speech) + 2 * 800 + 160
    assert np.array_equal(without_silence(speech), speech)
    assert len(without_silence(np.zeros(500, np.int16))) == 500


def test_the_table_of_speakers_may_be_missing(tmp_path: Path) -> None:
    assert about_english_speakers(str(tmp_path)) == {}
    (tmp_path / "speakers.csv").write_text("speaker,gender,accent\nann,female,x\n")
    assert about_english_speakers(str(tmp_path)) == {"ann": {"gender": "female", "accent": "x"}}
