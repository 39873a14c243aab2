"""Decode audio files to 16 kHz mono int16, and name every defect."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.tasks.base import SAMPLE_RATE_HZ, Utterance
from orchestrator.tasks.sources.found_files import SUFFIXES, shown
from orchestrator.tasks.sources.resampling import RATES_HZ, resampled

USABLE = f"readable, non-empty, finite {', '.join(suffix[1:].upper() for suffix in SUFFIXES)} files"
ON_BAD_AUDIO = ("error", "skip")
HIGHEST_PEAK = 2.0  # of float samples: lossy decoders overshoot 1 by less
CLIPPED_SHARE = 0.01  # of float samples beyond ±1, at most
LONGEST_PAGE_BYTES = 65_307  # of an Ogg file
LENGTH_WITHIN_BYTES = 44  # of an MP3 file's first frame: its header, checksum and side information, and four letters
UNKNOWN_BYTES = 0x7FFF_0000  # from here on a WAV header says that its writer did not know the length


class BadRecordingError(ValueError):
    """A recording that cannot be used: missing, unreadable, cut short, empty, or with samples out of range."""


@dataclass(frozen=True)
class Recording:
    """An utterance whose audio is still in its file."""

    path: Path
    utterance_id: str
    label: str
    speaker: str
    split: str
    attributes: Mapping[str, str | float | None] = field(default_factory=dict)
    where: str = ""  # what listed it, as errors show it: `manifest.csv row 7`
    start_seconds: float = 0.0
    transcript: str | None = None  # of tasks with transcripts


def read_audio(
    path: Path, max_seconds: float | None = None, start_seconds: float = 0.0, gain: float = 1.0
) -> npt.NDArray[np.int16]:
    """(samples,) 16 kHz mono: channels averaged, resampled if need be, scaled by `gain`, clipped to 16 bits.

    Only `max_seconds` from `start_seconds` on are decoded. 16-bit mono audio at 16 kHz comes back bit for bit.

    Raises:
        BadRecordingError: the file is missing, unreadable, empty or shorter than its header says, has samples that are
            not finite or far beyond ±1, or a sampling rate that no recording has.
    """
    import soundfile

    if not path.is_file():
        raise BadRecordingError("missing file")
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:  # bytes: a name need not be UTF-8
            rate = int(file.samplerate)
            first = min(round(start_seconds * rate), file.frames)
            if first:  # some codecs of WAV files, such as GSM, can only be read from their beginning
                file.seek(first)
            wanted = file.frames - first if max_seconds is None else max(1, round(max_seconds * rate))
            samples = file.read(wanted, dtype="float32", always_2d=True)
            _require_whole(path, file, first + len(samples), first + wanted)
    except (soundfile.SoundFileError, OSError) as error:
        raise BadRecordingError(f"unreadable audio ({_reason(error)})") from None
    if len(samples) == 0:
        raise BadRecordingError("empty audio")
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        raise BadRecordingError(f"a sampling rate of {rate} Hz, outside {RATES_HZ[0]} to {RATES_HZ[1]}")
    _require_in_range(samples)
    mono = samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]
    if rate != SAMPLE_RATE_HZ:
        mono = resampled(mono, rate)
    audio: npt.NDArray[np.int16] = np.clip(np.rint(mono * (gain * 32768.0)), -32768, 32767).astype(np.int16)
    return audio


def _reason(error: Exception) -> str:
    """What libsndfile says, without the file's name: the message has that already."""
    return str(getattr(error, "error_string", "") or error)


def _require_in_range(samples: npt.NDArray[np.float32]) -> None:
    if not np.isfinite(samples).all():
        raise BadRecordingError("audio with NaN or infinite samples")
    loud = np.abs(samples)
    peak, clipped = float(loud.max()), float(np.mean(loud > 1.0))
    if peak > HIGHEST_PEAK or clipped > CLIPPED_SHARE:
        advice = (
            "divide them by their full scale, which is 32768 for 16-bit audio"
            if peak > HIGHEST_PEAK
            else "lower their gain, so that they are not clipped"
        )
        raise BadRecordingError(
            f"float samples outside -1 to 1 (largest {peak:.4g}, {clipped:.1%} of them outside); {advice}"
        )


def _require_whole(path: Path, file: Any, reached: int, wanted: int) -> None:
    """Refuse a file that ends before its header says so.

    libsndfile shortens most formats silently to what is there, so headers that state bytes are read here.
    """
    missing = _missing_bytes(path)
    if missing:
        raise BadRecordingError(f"audio cut short: its header promises {missing} bytes more than the file has")
    if file.format == "OGG" and not _has_last_page(path):
        raise BadRecordingError("audio cut short: its last page is missing")
    if file.format == "MP3" and not _states_length(path):
        return  # its length is an estimate
    whole = min(wanted, file.frames)
    if reached >= whole and wanted < file.frames and file.format in ("FLAC", "MP3"):
        file.seek(file.frames - 1)
        reached, whole = file.frames - 1 + len(file.read(1)), file.frames
    if reached < whole:
        raise BadRecordingError(f"audio cut short: {reached} of {file.frames} samples are there")


def _missing_bytes(path: Path) -> int:
    """Bytes that the header of a WAV, AIFF or AU file promises and the file has not; 0 for all others."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b".snd":
            return _beyond(int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:12], "big"), size)
        if head[:4] not in (b"RIFF", b"FORM"):
            return 0
        while len(chunk := file.read(8)) == 8:
            length = int.from_bytes(chunk[4:], "little" if head[:4] == b"RIFF" else "big")
            if chunk[:4] in (b"data", b"SSND"):
                return _beyond(file.tell(), length, size)
            file.seek(length + length % 2, os.SEEK_CUR)
    return 0


def _beyond(start: int, length: int, size: int) -> int:
    return max(0, start + length - size) if length < UNKNOWN_BYTES else 0


def _has_last_page(path: Path) -> bool:
    """Whether an Ogg file ends with a page that says so, and is there to its end."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LONGEST_PAGE_BYTES))
        page = file.read()
    page = page[max(0, page.rfind(b"OggS")) :]
    segments = page[27 : 27 + page[26]] if len(page) > 27 else b""
    return bool(segments) and bool(page[5] & 4) and len(page) >= 27 + len(segments) + sum(segments)


def _states_length(path: Path) -> bool:
    """Whether the first frame of an MP3 file, after its tags, is the header that counts the others."""
    with path.open("rb") as file:
        head = file.read(10)
        start = 0
        while head[:3] == b"ID3" and len(head) == 10:
            start += 10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
            file.seek(start)
            head = file.read(10)
        file.seek(start)
        frame = file.read(LENGTH_WITHIN_BYTES)
    return b"Xing" in frame or b"Info" in frame


def duration_seconds(path: Path) -> float:
    """Length of a recording, from its header.

    Raises:
        BadRecordingError: the file is unreadable.
    """
    import soundfile

    try:
        return float(soundfile.info(os.fsencode(path)).duration)
    except (soundfile.SoundFileError, OSError) as error:
        raise BadRecordingError(
            f"unreadable audio ({_reason(error)}): {shown(str(path))}; allowed: a readable recording"
        ) from None


def utterances(
    recordings: Iterable[Recording],
    skipped: list[str],
    on_bad_audio: str = "error",
    max_seconds: float | None = None,
    gain: float = 1.0,
) -> Iterator[Utterance]:
    """Decode lazily, one recording at a time; with `on_bad_audio="skip"` bad ones are named in `skipped` instead."""
    for recording in recordings:
        try:
            audio = read_audio(recording.path, max_seconds, recording.start_seconds, gain)
        except BadRecordingError as defect:
            refuse_or_skip(str(defect), recording.path, recording.where, skipped, on_bad_audio)
            continue
        yield Utterance(
            recording.utterance_id, audio, recording.label, recording.speaker, recording.split, recording.attributes,
            recording.transcript,
        )  # fmt: skip


def place_of(path: Path | str, where: str) -> str:
    """A recording as messages show it: its path, and what listed it."""
    return f"{shown(str(path))} ({where})" if where else shown(str(path))


def refuse_or_skip(
    defect: str, path: Path | str, where: str, skipped: list[str], on_bad_audio: str, allowed: str = USABLE
) -> None:
    """Raise a `BadRecordingError` that names file and row, or note the defect in `skipped`."""
    if on_bad_audio == "skip":
        skipped.append(f"{place_of(path, where)}: {defect}")
        return
    raise BadRecordingError(
        f"{defect}: {place_of(path, where)}; allowed: {allowed}; "
        "`on_bad_audio: skip` leaves bad ones out and lists them"
    )


def require_choice(setting: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a setting outside a closed set of words."""
    if value not in allowed:
        raise ValueError(f"unknown {setting}: got {value!r}, allowed: {', '.join(allowed)}")


def require_folder(root: str | Path, what: str) -> Path:
    """`root` as an absolute path.

    Raises:
        FileNotFoundError: it is not a folder.
    """
    path = Path(root).expanduser().absolute()
    if not path.is_dir():
        raise FileNotFoundError(
            f"{what} not found: got root {path}, which is not a folder; set `root` to the folder that holds the data"
        )
    return path
