"""Strings of digits: each recording once, one speaker a string, nothing across splits."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from orchestrator.tasks.base import Utterance
from orchestrator.tasks.connected_digits import ConnectedDigits, cut
from orchestrator.tasks.normalizers import DIGITS
from orchestrator.tasks.sources.audio_files import BadRecordingError
from orchestrator.tasks.sources.digit_takes import ARABIC


def tree(root: Path, takes: int = 12) -> dict[str, Any]:
    """Both corpora with a tone of its own height for each digit."""
    names = [f"recordings/{d}_{s}_{t}.wav" for d in range(10) for s in ("ann", "bob") for t in range(takes)]
    arabic = [f"{DIGITS[d]}/{s:02d}_{t:02d}.flac" for d in range(10) for s in (1, 2) for t in range(1, 11)]
    for number, name in enumerate([*names, *arabic]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        tone = 0.3 * np.sin(np.arange(1600) * (0.05 + 0.0005 * number))
        soundfile.write(root / name, tone, 16_000, subtype="PCM_16")
    return {"fsdd_root": str(root), "arabic_root": str(root)}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return tree(tmp_path_factory.mktemp("digits"))


def read_all(task: ConnectedDigits) -> list[Utterance]:
    return list(task.read().utterances)


def test_every_recording_is_in_one_string_and_every_string_of_one_speaker(settings: dict[str, Any]) -> None:
    task = ConnectedDigits(**settings)
    found = read_all(task)
    assert len(found) == task.expected_size().utterances == len({u.utterance_id for u in found})
    takes = [(u.speaker, take) for u in found for take in u.utterance_id.rsplit("/", 1)[1].split("-")]
    assert len(takes) == len(set(takes)) == 2 * 10 * 12 + 2 * 10 * 10
    assert {u.speaker for u in found} == {"english-ann", "english-bob", "arabic-s01", "arabic-s02"}
    assert {len(u.transcript.split()) for u in found if u.transcript} == {3, 4, 5}


def test_transcripts_are_the_words_of_the_digits_in_their_order(settings: dict[str, Any]) -> None:
    for utterance in read_all(ConnectedDigits(**settings)):
        language, _, takes = utterance.utterance_id.split("/")
        words = {"english": DIGITS, "arabic": ARABIC}[language]
        digits = [int(take.partition("_")[0]) for take in takes.split("-")]
        assert utterance.transcript == " ".join(words[digit] for digit in digits)
        assert utterance.attributes["language"] == language


def test_splits_are_by_take_and_every_speaker_is_in_each(settings: dict[str, Any]) -> None:
    found = read_all(ConnectedDigits(**settings))
    cells = Counter((u.split, u.speaker) for u in found)
    assert len(cells) == 3 * 4
    for u in found:
        for take in u.utterance_id.rsplit("/", 1)[1].split("-"):
            number = int(take.partition("_")[2])
            tested = number < 5 if u.speaker.startswith("english") else number > 8
            assert (u.split == "test") == tested


def test_audio_is_the_digits_with_pauses_between(settings: dict[str, Any]) -> None:
    one = ConnectedDigits(fsdd_root=settings["fsdd_root"], digits_per_string=(3, 3), pause_seconds=(0.1, 0.1))
    assert {len(u.audio) for u in read_all(one)} == {3 * 1600 + 2 * 1600}
    first, again = (read_all(ConnectedDigits(**settings)) for _ in range(2))
    assert all(np.array_equal(a.audio, b.audio) for a, b in zip(first, again, strict=True))


def test_strings_of_a_language_do_not_depend_on_the_other_and_another_seed_gives_others(
    settings: dict[str, Any],
) -> None:
    both = read_all(ConnectedDigits(**settings))
    alone = ConnectedDigits(arabic_root=settings["arabic_root"])
    assert [u.utterance_id for u in read_all(alone)] == [
        u.utterance_id for u in both if u.speaker.startswith("arabic")
    ]  # fmt: skip
    assert alone.fingerprint() != ConnectedDigits(**settings).fingerprint()
    other = {u.utterance_id for u in read_all(ConnectedDigits(**settings, seed=1))}
    assert len(other & {u.utterance_id for u in both}) < 10


@pytest.mark.parametrize(("count", "sizes"), [(0, (3, 5)), (2, (3, 5)), (3, (3, 5)), (70, (3, 5)), (11, (1, 1))])
def test_ranges_cover_all_without_overlap_where_that_is_possible(count: int, sizes: tuple[int, int]) -> None:
    for seed in range(20):
        ranges = cut(count, sizes, np.random.default_rng(seed))
        assert [first for first, _ in ranges] == [0, *(last for _, last in ranges)][: len(ranges)]
        assert all(sizes[0] <= last - first <= sizes[1] for first, last in ranges)
        assert (ranges[-1][1] if ranges else 0) == (count if count >= sizes[0] else 0)


def test_what_is_left_over_is_said(settings: dict[str, Any]) -> None:
    source = ConnectedDigits(fsdd_root=settings["fsdd_root"], digits_per_string=(4, 4)).read()
    assert source.notes == ["8 recordings are left over and in no string"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "needs recordings: got no root; set fsdd_root, arabic_root, or both"),
        ({"fsdd_root": "x", "digits_per_string": (0, 3)}, "digits_per_string must be a pair"),
        ({"fsdd_root": "x", "digits_per_string": (5, 3)}, "digits_per_string must be a pair"),
        ({"fsdd_root": "x", "pause_seconds": (-1, 3)}, "pause_seconds must be a pair"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConnectedDigits(**wrong)


def test_a_bad_recording_is_named(tmp_path: Path) -> None:
    settings = tree(tmp_path, takes=11)
    (tmp_path / "recordings" / "3_ann_7.wav").write_bytes(b"no audio")
    with pytest.raises(BadRecordingError, match=r"3_ann_7\.wav; replace the file, or remove it"):
        read_all(ConnectedDigits(**settings))


@pytest.mark.skipif("UNLEARN_DATA" not in os.environ, reason="UNLEARN_DATA is not set: real digits are needed")
def test_the_real_corpora_make_strings_of_a_few_seconds() -> None:
    data = Path(os.environ["UNLEARN_DATA"])
    task = ConnectedDigits(fsdd_root=str(data / "fsdd"), arabic_root=str(data / "arabic_speech_commands"))
    found = read_all(task)
    assert len({u.speaker for u in found}) == 6 + 30
    assert Counter(u.split for u in found)["train"] > 0.6 * len(found)
    seconds = np.array([len(u.audio) / 16_000 for u in found])
    assert seconds.max() < 8
    assert task.expected_size().seconds == pytest.approx(seconds.mean(), rel=0.3)
    accents = {u.attributes["accent"] for u in found if u.speaker.startswith("english")}
    assert len(accents) > 1
