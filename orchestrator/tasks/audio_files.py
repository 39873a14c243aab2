"""Audio files on disk: found, digested, and decoded to 16 kHz mono int16 with every defect named."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.tasks.base import SAMPLE_RATE_HZ, Utterance

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
ON_BAD_AUDIO = ("error", "skip")


class BadRecordingError(ValueError):
    """A recording that cannot be used: missing, unreadable, empty, not finite, or not described by its listing."""


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


def find_audio(root: Path, suffixes: tuple[str, ...] = SUFFIXES) -> dict[str, int]:
    """Size in bytes of each audio file below `root`, by relative POSIX path in byte order; no hidden files."""
    found: dict[str, int] = {}
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        inside = Path(folder).relative_to(root).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        for name in names:
            if name.lower().endswith(suffixes) and not name.startswith("."):
                found[prefix + name] = _size_bytes(os.path.join(folder, name))
    return dict(sorted(found.items()))


def _size_bytes(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:  # a link to nowhere: reading it will say so, with its name
        return 0


def digest_of_sizes(sizes: Mapping[str, int]) -> dict[str, Any]:
    """What stands for the audio in a task's `content`: number, bytes, and a hash of names and sizes."""
    lines = "".join(f"{name}\t{size}\n" for name, size in sorted(sizes.items()))
    return {"files": len(sizes), "bytes": sum(sizes.values()), "sha256": hashlib.sha256(lines.encode()).hexdigest()}


def digest_of_file(path: Path) -> str:
    """SHA-256 of a list or manifest."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_audio(
    path: Path, max_seconds: float | None = None, start_seconds: float = 0.0, gain: float = 1.0
) -> npt.NDArray[np.int16]:
    """(samples,) 16 kHz mono: channels averaged, resampled if need be, scaled by `gain`, clipped to 16 bits.

    Only `max_seconds` from `start_seconds` on are decoded. 16-bit mono audio at 16 kHz comes back bit for bit.

    Raises:
        BadRecordingError: the file is missing, unreadable or empty, or has samples that are not finite.
    """
    import soundfile

    if not path.is_file():
        raise BadRecordingError("missing file")
    try:
        with soundfile.SoundFile(path) as file:
            rate = int(file.samplerate)
            file.seek(min(round(start_seconds * rate), file.frames))
            frames = -1 if max_seconds is None else max(1, round(max_seconds * rate))
            samples = file.read(frames, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise BadRecordingError(f"unreadable audio ({error})") from None
    if len(samples) == 0:
        raise BadRecordingError("empty audio")
    if not np.isfinite(samples).all():
        raise BadRecordingError("audio with NaN or infinite samples")
    mono = samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]
    if rate != SAMPLE_RATE_HZ:
        mono = resampled(mono, rate)
    audio: npt.NDArray[np.int16] = np.clip(np.rint(mono * (gain * 32768.0)), -32768, 32767).astype(np.int16)
    return audio


def duration_seconds(path: Path) -> float:
    """Length of a recording, from its header.

    Raises:
        BadRecordingError: the file is unreadable.
    """
    import soundfile

    try:
        return float(soundfile.info(path).duration)
    except (soundfile.SoundFileError, OSError) as error:
        raise BadRecordingError(f"unreadable audio ({error}): {path}; allowed: a readable recording") from None


def resampled(samples: npt.NDArray[np.float32], rate_hz: int) -> npt.NDArray[np.float32]:
    """(ceil(samples * 16000 / rate_hz),) at 16 kHz, by torchaudio's windowed-sinc interpolation."""
    import torch
    from torchaudio.functional import resample

    values: npt.NDArray[np.float32] = resample(torch.from_numpy(samples), rate_hz, SAMPLE_RATE_HZ).numpy()
    return values


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
            recording.utterance_id, audio, recording.label, recording.speaker, recording.split, recording.attributes
        )


def refuse_or_skip(defect: str, path: Path | str, where: str, skipped: list[str], on_bad_audio: str) -> None:
    """Raise a `BadRecordingError` that names file and row, or note the defect in `skipped`."""
    place = f"{path} ({where})" if where else str(path)
    if on_bad_audio == "skip":
        skipped.append(f"{place}: {defect}")
        return
    raise BadRecordingError(
        f"{defect}: {place}; allowed: readable, non-empty, finite {', '.join(s[1:].upper() for s in SUFFIXES)} "
        "files; `on_bad_audio: skip` leaves bad ones out and lists them"
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
            f"{what} not found: got root {path}, which is not a folder; set `root` to where the data lie"
        )
    return path
