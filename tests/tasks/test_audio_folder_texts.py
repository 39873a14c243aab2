"""Transcripts of your own recordings: a column of the listing, or a text file next to each recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tasks.recordings import manifest, read_all, write

from orchestrator.tasks.audio_folder import AudioFolder
from orchestrator.tasks.base import NO_CLASSES
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.sources.audio_files import BadRecordingError

ROWS = "path,said,speaker,accent\na.wav,Call 42.,ann,x\nb.wav,No!,bob,y\nc.wav,It's me,ann,x\n"


def by_column(root: Path, rows: str = ROWS, **settings: Any) -> AudioFolder:
    write(root, ["a.wav", "b.wav", "c.wav"])
    listed = manifest(root, rows)
    return AudioFolder(root=str(root), target="transcripts", manifest=listed, text_from="said", **settings)


def by_files(root: Path, suffix: str = ".txt", takes: int = 10, **settings: Any) -> AudioFolder:
    names = [f"{speaker}/{take}.wav" for speaker in ("ann", "bob") for take in range(takes)]
    write(root, names)
    for name in names:
        (root / name).with_suffix(suffix).write_text(f"Take\n{name[-5]}!\n")
    return AudioFolder(root=str(root), target="transcripts", text_from=suffix, **settings)


def test_a_column_of_the_manifest_holds_what_is_said(tmp_path: Path) -> None:
    source, found = read_all(by_column(tmp_path, test_share=0.34, validation_share=0.0))
    assert source.classes == NO_CLASSES
    assert [(u.transcript, u.speaker, u.label) for u in found] == [
        ("Call 42.", "ann", ""), ("No!", "bob", ""), ("It's me", "ann", ""),
    ]  # fmt: skip
    assert all("said" not in u.attributes and u.attributes["accent"] for u in found)
    assert sorted(u.split for u in found) == ["test", "train", "train"]


@pytest.mark.parametrize("suffix", [".txt", ".lab"])
def test_text_files_next_to_recordings_hold_what_is_said_and_folders_are_speakers(tmp_path: Path, suffix: str) -> None:
    task = by_files(tmp_path / "root", suffix)
    corpus = open_corpus(task, tmp_path / "cache")
    assert sorted(set(corpus.texts)) == sorted(f"take {digit}" for digit in (
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"
    ))  # fmt: skip
    assert set(corpus.speakers) == {"ann", "bob"}
    assert len(corpus) == task.expected_size().utterances == 20
    assert task.expected_size().classes == 1


def test_the_corpus_is_another_if_a_text_file_changes(tmp_path: Path) -> None:
    before = by_files(tmp_path, takes=2).fingerprint()
    (tmp_path / "ann" / "0.txt").write_text("something else")
    after = AudioFolder(root=str(tmp_path), target="transcripts", text_from=".txt")
    assert after.fingerprint() != before


def test_a_missing_transcript_is_a_bad_recording(tmp_path: Path) -> None:
    task = by_files(tmp_path, takes=3)
    (tmp_path / "ann" / "1.txt").unlink()
    with pytest.raises(BadRecordingError, match=r"no transcript: 1\.txt is missing: .*ann/1\.wav"):
        read_all(AudioFolder(root=str(tmp_path), target="transcripts", text_from=".txt"))
    _, found = read_all(AudioFolder(root=str(tmp_path), target="transcripts", text_from=".txt", on_bad_audio="skip"))
    assert len(found) == 5
    assert task.kind == "transcripts"


@pytest.mark.parametrize(
    ("text", "message"),
    [("", r"no 'said' is given: .*b\.wav \(list\.csv row 2\)"), ("...", "empty transcript: got '...'"),
     ("\u043d\u0435\u0442", "letters that english-1 cannot spell")],
)  # fmt: skip
def test_a_transcript_that_cannot_be_used_is_refused_or_left_out_and_listed(
    tmp_path: Path, text: str, message: str
) -> None:
    rows = ROWS.replace("No!", text)
    with pytest.raises(BadRecordingError, match=message):
        read_all(by_column(tmp_path, rows))
    source, found = read_all(by_column(tmp_path, rows, on_bad_audio="skip"))
    assert [u.utterance_id for u in found] == ["a.wav", "c.wav"]
    assert len(source.skipped) == 1


def test_a_recording_that_is_too_long_is_left_out_and_not_cut(tmp_path: Path) -> None:
    task = by_column(tmp_path, max_seconds=0.02)
    write(tmp_path / "long", ["x.wav"], rate_hz=64_000)
    (tmp_path / "long" / "x.wav").replace(tmp_path / "b.wav")
    assert len(read_all(task)[1]) == 3
    write(tmp_path, ["b.wav"], rate_hz=16_000)
    source, found = read_all(by_column(tmp_path, max_seconds=0.005))
    assert found == []
    assert all("max_seconds is 0.005" in said for said in source.skipped)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "transcripts"}, "text_from belongs to target: transcripts, which needs it"),
        ({"text_from": "said"}, "got target 'keywords' and text_from 'said'"),
        ({"target": "transcripts", "text_from": "x", "classes": ["a"]}, "transcripts have no classes"),
        ({"target": "transcripts", "text_from": "x", "normalizer": "n"}, "unknown normalizer"),
        ({"target": "transcripts", "text_from": "x", "label_noise": {"share": 0.1}}, "label_noise exchanges"),
        ({"target": "texts"}, "allowed: keywords, speakers, transcripts"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AudioFolder(root="/data", **settings)


def test_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"text_from names a column that list\.csv does not have: got 'said'"):
        read_all(by_column(tmp_path, ROWS.replace("said", "words")))


def test_classes_do_not_know_the_settings_of_transcripts(tmp_path: Path) -> None:
    assert not {"text_from", "normalizer"} & set(AudioFolder(root=str(tmp_path)).settings())
    assert {"text_from", "normalizer"} < set(by_column(tmp_path).settings())
