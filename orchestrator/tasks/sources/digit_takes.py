"""Recordings of single spoken digits: where two corpora have them, who says them, and in which take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from orchestrator.tasks.base import SAMPLE_RATE_HZ
from orchestrator.tasks.normalizers import DIGITS
from orchestrator.tasks.sources.audio_files import require_folder
from orchestrator.tasks.sources.tables import Cell, read_table, rows_by

# Latin letters for the ten digits of Modern Standard Arabic: fixed, so that words and letters never change.
ARABIC = ("sifr", "wahid", "ithnan", "thalatha", "arbaa", "khamsa", "sitta", "sabaa", "thamaniya", "tisaa")
ENGLISH_FILE = re.compile(r"(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<take>\d+)\.wav")
ARABIC_FILE = re.compile(r"(?P<speaker>\d+)_(?P<take>\d+)\.flac")
QUIET_DB = 35.0  # below the loudest frame: what is cut off before and after a digit
FRAME_SECONDS, KEPT_SECONDS = 0.01, 0.05  # of the loudness; around what is loud


class Take(NamedTuple):
    """One recording of one digit."""

    path: Path
    name: str  # relative to the root
    digit: int
    speaker: str
    take: int
    split: str


def english_takes(root: str) -> list[Take]:
    """List the Free Spoken Digit Dataset: takes 0 to 4 are its test recordings, 5 to 9 validation, all others train.

    Raises:
        FileNotFoundError: there are no recordings `recordings/<digit>_<speaker>_<take>.wav`.
    """
    folder = require_folder(root, "Free Spoken Digit Dataset")
    inside = folder / "recordings" if (folder / "recordings").is_dir() else folder
    takes = []
    for path in sorted(inside.glob("*.wav")):
        if found := ENGLISH_FILE.fullmatch(path.name):
            take = int(found["take"])
            split = "test" if take < 5 else "validation" if take < 10 else "train"
            takes.append(Take(path, path.name, int(found["digit"]), found["speaker"], take, split))
    return _some(takes, folder, "recordings/<digit>_<speaker>_<take>.wav")


def arabic_takes(root: str) -> list[Take]:
    """List the digits of the Arabic Speech Commands: takes 1 to 7 train, 8 validation, 9 and 10 test.

    Raises:
        FileNotFoundError: there are no recordings `<zero to nine>/<speaker>_<take>.flac`.
    """
    folder = require_folder(root, "Arabic Speech Commands")
    takes = []
    for digit, word in enumerate(DIGITS):
        for path in sorted((folder / word).glob("*.flac")):
            if found := ARABIC_FILE.fullmatch(path.name):
                take = int(found["take"])
                split = "train" if take < 8 else "validation" if take == 8 else "test"
                takes.append(Take(path, f"{word}/{path.name}", digit, f"s{found['speaker']}", take, split))
    return _some(takes, folder, "<zero to nine>/<speaker>_<take>.flac")


def about_english_speakers(root: str) -> Mapping[str, Mapping[str, Cell]]:
    """Return gender and accent of each speaker, from `speakers.csv`; nothing where there is no such file."""
    table = Path(root).expanduser() / "speakers.csv"
    return rows_by(read_table(table), "speaker") if table.is_file() else {}


def without_silence(audio: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """Cut off what is more than `QUIET_DB` below the loudest frame, at both ends, but `KEPT_SECONDS`."""
    frame = round(FRAME_SECONDS * SAMPLE_RATE_HZ)
    number = len(audio) // frame
    power = (audio[: number * frame].astype(np.float64).reshape(number, frame) ** 2).mean(axis=1)
    loud = np.flatnonzero(power > power.max(initial=0.0) * 10 ** (-QUIET_DB / 10))
    if not len(loud):
        return audio
    kept = round(KEPT_SECONDS * SAMPLE_RATE_HZ)
    return audio[max(0, loud[0] * frame - kept) : (loud[-1] + 1) * frame + kept]


def _some(takes: list[Take], folder: Path, layout: str) -> list[Take]:
    if not takes:
        raise FileNotFoundError(f"no recordings of digits: got root {folder} without {layout}; set another root")
    return takes
