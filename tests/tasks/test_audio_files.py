from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from orchestrator.tasks.audio_files import (
    BadRecordingError,
    Recording,
    digest_of_sizes,
    find_audio,
    read_audio,
    utterances,
)


def tone(seconds: float, rate_hz: int, frequency_hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def test_16_bit_mono_at_16_khz_comes_back_bit_for_bit(tmp_path: Path) -> None:
    audio = np.random.default_rng(0).integers(-32768, 32768, 1000).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", audio, 16_000)
    assert np.array_equal(read_audio(tmp_path / "a.wav"), audio)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = np.full(100, 1000, np.int16), np.full(100, 3000, np.int16)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 16_000)
    assert np.array_equal(read_audio(tmp_path / "a.wav"), np.full(100, 2000))


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_any_sample_rate_becomes_16_khz_with_the_pitch_unchanged(tmp_path: Path, rate_hz: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.5, rate_hz), rate_hz, subtype="FLOAT")
    audio = read_audio(tmp_path / "a.wav").astype(np.float64) / 32768
    assert abs(len(audio) - 8000) <= 1
    middle = slice(1000, 7000)  # away from the edges, where the filter sees nothing
    assert np.abs(audio[middle] - tone(0.5, 16_000)[middle]).max() < 0.01


def test_float_audio_beyond_full_scale_is_clipped_not_wrapped(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([2.0, -2.0, 0.5], np.float32), 16_000, subtype="FLOAT")
    assert read_audio(tmp_path / "a.wav").tolist() == [32767, -32768, 16384]


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3"])
def test_compressed_formats_are_read(tmp_path: Path, suffix: str) -> None:
    soundfile.write(tmp_path / f"a{suffix}", tone(0.5, 16_000), 16_000)
    audio = read_audio(tmp_path / f"a{suffix}").astype(np.float64) / 32768
    assert 0.3 < np.sqrt(2) * audio.std() < 0.6


def test_only_the_asked_stretch_is_kept_and_scaled(tmp_path: Path) -> None:
    audio = np.arange(2000, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", audio, 16_000)
    part = read_audio(tmp_path / "a.wav", max_seconds=0.01, start_seconds=0.05, gain=2.0)
    assert np.array_equal(part, 2 * audio[800:960])


@pytest.mark.parametrize(
    ("content", "defect"),
    [(None, "missing file"), (b"not audio at all", "unreadable audio"), ("empty", "empty audio"), ("nan", "NaN")],
)
def test_each_defect_is_named(tmp_path: Path, content: bytes | str | None, defect: str) -> None:
    path = tmp_path / "bad.wav"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        samples = np.zeros(0) if content == "empty" else np.array([0.0, np.nan])
        soundfile.write(path, samples.astype(np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(BadRecordingError, match=defect):
        read_audio(path)


def recordings(tmp_path: Path) -> list[Recording]:
    soundfile.write(tmp_path / "good.wav", np.ones(10, np.int16), 16_000)
    (tmp_path / "bad.wav").write_bytes(b"")
    return [
        Recording(tmp_path / f"{name}.wav", name, "yes", "ann", "train", where=f"list.csv row {row}")
        for row, name in enumerate(["good", "bad", "absent"], start=1)
    ]


def test_a_bad_recording_is_an_error_that_names_file_and_row(tmp_path: Path) -> None:
    with pytest.raises(BadRecordingError, match=r"bad\.wav \(list\.csv row 2\); allowed: .*on_bad_audio: skip"):
        list(utterances(recordings(tmp_path), []))


def test_skipped_recordings_are_listed_and_the_others_kept(tmp_path: Path) -> None:
    skipped: list[str] = []
    kept = list(utterances(recordings(tmp_path), skipped, "skip"))
    assert [u.utterance_id for u in kept] == ["good"]
    assert len(skipped) == 2
    assert "bad.wav (list.csv row 2): unreadable audio" in skipped[0]
    assert skipped[1].endswith("absent.wav (list.csv row 3): missing file")


def test_audio_is_found_in_byte_order_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b/x.wav", "a/y.FLAC", "B/z.wav", "a/.hidden.wav", ".git/w.wav", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12")
    assert list(find_audio(tmp_path).items()) == [("B/z.wav", 2), ("a/y.FLAC", 2), ("b/x.wav", 2)]


def test_a_link_to_nowhere_is_found_and_refused_when_read(tmp_path: Path) -> None:
    (tmp_path / "a.wav").symlink_to(tmp_path / "absent.wav")
    assert find_audio(tmp_path) == {"a.wav": 0}
    with pytest.raises(BadRecordingError, match="missing file"):
        read_audio(tmp_path / "a.wav")


def test_the_digest_follows_names_and_sizes_but_not_order() -> None:
    digest = digest_of_sizes({"a": 1, "b": 2})
    assert digest == digest_of_sizes({"b": 2, "a": 1})
    assert digest != digest_of_sizes({"a": 2, "b": 1})
    assert digest != digest_of_sizes({"a": 1, "c": 2})
    assert (digest["files"], digest["bytes"]) == (2, 3)
