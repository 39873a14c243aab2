from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from orchestrator.tasks.sources.audio_files import (
    BadRecordingError,
    Recording,
    _states_length,
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


def test_float_peaks_just_beyond_full_scale_are_clipped_not_wrapped(tmp_path: Path) -> None:
    samples = np.r_[[1.9, -1.9], np.full(998, 0.5)].astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    assert read_audio(tmp_path / "a.wav")[:3].tolist() == [32767, -32768, 16384]


@pytest.mark.parametrize("scale", [3.0, 4.0, 32768.0, 2.0**31])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_float_audio_in_another_scale_is_a_bad_recording(tmp_path: Path, scale: float, subtype: str) -> None:
    soundfile.write(tmp_path / "a.wav", scale * tone(0.1, 16_000).astype(np.float64), 16_000, subtype=subtype)
    with pytest.raises(BadRecordingError, match="float samples outside -1 to 1"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("max_seconds", [None, 0.1])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg", ".aiff", ".au"])
def test_a_file_that_was_cut_short_is_a_bad_recording(tmp_path: Path, suffix: str, max_seconds: float | None) -> None:
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, tone(1.0, 16_000) + np.random.default_rng(0).normal(0, 0.01, 16_000), 16_000)
    assert len(read_audio(path, max_seconds)) > 0
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadRecordingError, match=r"cut short|unreadable audio|empty audio"):
        read_audio(path, max_seconds)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_long_ogg_file_that_was_cut_is_a_bad_recording(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 320_000), 16_000)
    assert len(read_audio(path)) == 320_000
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(BadRecordingError, match="cut short"):
        read_audio(path)


def test_a_wav_whose_writer_did_not_know_its_length_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.1, 16_000), 16_000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    at = content.index(b"data")
    content[at + 4 : at + 8] = content[4:8] = b"\xff" * 4  # as a pipe leaves it
    (tmp_path / "a.wav").write_bytes(content)
    assert len(read_audio(tmp_path / "a.wav")) == 1600


def test_a_name_that_is_not_utf_8_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.1, 16_000), 16_000)
    os.rename(tmp_path / "a.wav", os.fsencode(tmp_path) + b"/caf\xe9.wav")
    assert len(read_audio(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")))) == 1600


@pytest.mark.parametrize("rate_hz", [1, 999, 1_000_000])
def test_a_sampling_rate_that_no_recording_has_is_refused(tmp_path: Path, rate_hz: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.ones(100, np.int16), rate_hz)
    with pytest.raises(BadRecordingError, match=f"sampling rate of {rate_hz} Hz"):
        read_audio(tmp_path / "a.wav")


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


def test_telephone_codecs_that_cannot_be_searched_are_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.4, 8_000), 8_000, subtype="GSM610")
    assert abs(len(read_audio(tmp_path / "a.wav")) - 6400) <= 640


@pytest.mark.parametrize("states", [True, False])
def test_an_mp3_counts_its_frames_in_its_first_frame_only_and_not_in_its_tags(tmp_path: Path, states: bool) -> None:
    soundfile.write(tmp_path / "a.mp3", tone(0.4, 16_000), 16_000)
    content = (tmp_path / "a.mp3").read_bytes()
    at = max(content.find(b"Xing"), content.find(b"Info"))
    frames = content if states else content[content.index(content[:2], at) :]
    title = b"TIT2\0\0\0\x0c\0\0\x03Information"
    (tmp_path / "b.mp3").write_bytes(b"ID3\x03\0\0\0\0\0" + bytes([len(title)]) + title + frames)
    assert _states_length(tmp_path / "b.mp3") is states
    assert len(read_audio(tmp_path / "b.mp3")) > 0
