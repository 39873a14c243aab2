"""Recordings for `unlearn init`: tones of a quarter of a second, one pitch a class."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

PITCHES_HZ = {"left": 220.0, "right": 440.0, "stop": 880.0}


@pytest.fixture
def write_tone():
    """Writes one recording; no two have the same samples."""
    made = np.random.default_rng(0)

    def write(path, pitch_hz=440.0, rate_hz=16_000, seconds=0.25):
        path.parent.mkdir(parents=True, exist_ok=True)
        time = np.arange(int(seconds * rate_hz)) / rate_hz
        noise = made.normal(0, 0.02, len(time))
        soundfile.write(path, 0.3 * np.sin(2 * np.pi * pitch_hz * time) + noise, rate_hz)
        return path

    return write


@pytest.fixture
def class_folders(tmp_path, write_tone):
    """Three classes of twelve recordings: CLASS/SPEAKER_TAKE.wav, three speakers."""
    root = tmp_path / "Some recordings"
    for label, pitch in PITCHES_HZ.items():
        for speaker in ("ann", "bob", "cem"):
            for take in range(4):
                write_tone(root / label / f"{speaker}_{take}.wav", pitch)
    return root
