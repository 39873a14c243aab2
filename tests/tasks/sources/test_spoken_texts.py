"""Transcripts of recordings from text files."""

from __future__ import annotations

from pathlib import Path

from tasks.recordings import write

from orchestrator.tasks.sources.audio_files import Recording
from orchestrator.tasks.sources.manifest import Listed, Listing
from orchestrator.tasks.sources.spoken_texts import (
    digest_of_text_files,
    from_speaker_folders,
    transcribable,
    with_text_files,
)


def test_the_first_folder_is_the_speaker_and_a_file_without_one_has_none() -> None:
    listing = from_speaker_folders(["ann/1/a.wav", "b.wav"], "speaker")
    assert [dict(item.columns) for item in listing.recordings] == [{"speaker": "ann"}, {}]
    assert not any(item.defect for item in listing.recordings)


def test_text_files_become_a_column_in_one_line_each(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeffTwo\n lines ", encoding="utf-8")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\xff")
    listing = Listing([Listed(f"{name}.wav", {"x": 1}, "") for name in "abc"], ("x",), "names")
    a, b, c = with_text_files(listing, tmp_path, ".txt", "said").recordings
    assert dict(a.columns) == {"x": 1, "said": "Two lines"}
    assert b.defect.startswith("unreadable transcript b.txt")
    assert c.defect == "no transcript: c.txt is missing"


def test_the_digest_follows_the_bytes(tmp_path: Path) -> None:
    listed = [Listed("a.wav", {}, "")]
    digests = []
    for text in ("one", "two", "one "):
        (tmp_path / "a.txt").write_text(text)
        digests.append(digest_of_text_files(listed, tmp_path, ".txt"))
    assert len(set(digests)) == 3


def test_long_recordings_are_left_out_with_their_length_and_unreadable_ones_are_kept_for_the_decoder(
    tmp_path: Path,
) -> None:
    write(tmp_path, ["a.wav"])
    (tmp_path / "b.wav").write_bytes(b"no audio")
    recordings = [Recording(tmp_path / name, name, "", "", "", transcript="hello") for name in ("a.wav", "b.wav")]
    skipped: list[str] = []
    left = transcribable(recordings, "english-1", 0.005, skipped, "error")
    assert [recording.utterance_id for recording in left] == ["b.wav"]
    assert skipped == [f"{tmp_path / 'a.wav'}: 0.0 s long, and max_seconds is 0.005"]
