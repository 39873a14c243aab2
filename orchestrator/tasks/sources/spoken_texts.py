"""Transcripts of recordings: text files next to them, and which recordings can be transcribed at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from orchestrator.tasks.normalizers import normalized
from orchestrator.tasks.sources.audio_files import (
    BadRecordingError,
    Recording,
    duration_seconds,
    place_of,
    refuse_or_skip,
)
from orchestrator.tasks.sources.found_files import digest_of_files, shown
from orchestrator.tasks.sources.manifest import Listed, Listing
from orchestrator.tasks.sources.tables import cell

TRANSCRIBED = "a transcript of what is said, in Latin letters"


def with_text_files(listing: Listing, root: Path, suffix: str, column: str) -> Listing:
    """Return the listing with the text next to each recording (`a.wav`: `a.txt`) as a column.

    A recording whose text file is missing, empty or not UTF-8 has a defect.
    """
    listed = [_with_text_file(item, root, suffix, column) for item in listing.recordings]
    return Listing(listed, (*listing.columns, column), listing.name)


def digest_of_text_files(listed: Iterable[Listed], root: Path, suffix: str) -> str:
    """Return SHA-256 of names and bytes of the text files next to recordings."""
    paths = [Path(item.path).with_suffix(suffix) for item in listed]
    return str(digest_of_files({shown(str(path)): root / path for path in paths})["sha256"])


def _with_text_file(item: Listed, root: Path, suffix: str, column: str) -> Listed:
    path = (root / item.path).with_suffix(suffix)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return replace(item, defect=item.defect or f"no transcript: {shown(path.name)} is missing")
    except (OSError, UnicodeDecodeError) as error:
        return replace(item, defect=item.defect or f"unreadable transcript {shown(path.name)} ({error})")
    return replace(item, columns={**item.columns, column: cell(" ".join(text.split()))})


def from_speaker_folders(paths: Iterable[str], column: str) -> Listing:
    """List files of which the first folder below the root, if they are in one, is the speaker: `column`."""
    listed = []
    for path in paths:
        folder, _, rest = path.partition("/")
        listed.append(Listed(path, {column: cell(shown(folder))} if rest else {}, ""))
    return Listing(listed, (column,), "a folder of recordings")


def transcribable(
    recordings: Iterable[Recording], normalizer: str, max_seconds: float | None, skipped: list[str], on_bad_audio: str
) -> list[Recording]:
    """Return the recordings that can be transcribed: what is said can be spelled, and they are short enough.

    One that is longer than `max_seconds` is left out and listed in `skipped`: its first seconds would have another
    transcript.

    Raises:
        BadRecordingError: a transcript is empty or cannot be spelled, unless `on_bad_audio` is "skip".
    """
    left = []
    for recording in recordings:
        try:
            normalized(normalizer, recording.transcript or "", shown(str(recording.path)))
        except ValueError as error:
            refuse_or_skip(str(error), recording.path, recording.where, skipped, on_bad_audio, TRANSCRIBED)
            continue
        if max_seconds is not None and (seconds := _seconds(recording.path)) > max_seconds:
            place = place_of(recording.path, recording.where)
            skipped.append(f"{place}: {seconds:.1f} s long, and max_seconds is {max_seconds:g}")
            continue
        left.append(recording)
    return left


def _seconds(path: Path) -> float:
    """The length of a recording; 0 where it cannot be read, which decoding it reports."""
    try:
        return duration_seconds(path)
    except BadRecordingError:
        return 0.0
