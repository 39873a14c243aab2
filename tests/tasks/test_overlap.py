"""Recordings are compared by their samples, whatever their ids."""

from __future__ import annotations

from tasks.recordings import digits, write

from orchestrator.tasks.audio_folder import AudioFolder
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.overlap import shared_recordings

PATTERN = r"(?P<label>\d)_(?P<speaker>[a-z]+)_(?P<take>\d+)"


def corpus(root, cache, takes):
    return open_corpus(AudioFolder(root=str(root), pattern=PATTERN, where={"take": list(takes)}), cache)


def test_only_recordings_of_both_corpora_are_found(tmp_path):
    root = digits(tmp_path / "r")
    first, second, third = (corpus(root, tmp_path / "c", takes) for takes in (range(4), range(3, 8), range(4, 8)))
    both = shared_recordings(first, second)
    assert {a for a, b in both} == {f"{d}_{s}_3.wav" for d in range(3) for s in ("ann", "bob")}
    assert all(a == b for a, b in both)
    assert shared_recordings(first, third) == []


def test_a_copy_under_another_name_is_found(tmp_path):
    first = corpus(write(tmp_path / "a", [f"{d}_ann_{t}.wav" for d in (0, 1) for t in range(10)]), tmp_path, range(10))
    second = corpus(write(tmp_path / "b", [f"{d}_eve_{t}.wav" for d in (0, 1) for t in range(10)]), tmp_path, range(10))
    assert len(shared_recordings(first, second)) == 20
