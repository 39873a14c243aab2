"""Folders of short recordings for the tests of `audio_folder`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from orchestrator.tasks.audio_folder import AudioFolder
from orchestrator.tasks.base import Source, Utterance

DIGITS = r"(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<take>\d+)"


def write(root: Path, names: Iterable[str], rate_hz: int = 16_000) -> Path:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, np.full(rate_hz // 100, number, np.int16), rate_hz)
    return root


def digits(root: Path, takes: int = 10) -> Path:
    return write(root, [f"{d}_{s}_{t}.wav" for d in (0, 1, 2) for s in ("ann", "bob") for t in range(takes)])


def read_all(task: AudioFolder) -> tuple[Source, list[Utterance]]:
    source = task.read()
    return source, list(source.utterances)


def two_words(root: Path, takes: int = 6) -> Path:
    return write(root, [f"{word}/{take}.wav" for word in ("0", "1") for take in range(takes)])


def manifest(tmp_path: Path, text: str) -> str:
    (tmp_path / "list.csv").write_text(text)
    return "list.csv"
