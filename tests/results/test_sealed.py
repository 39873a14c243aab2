"""Sealed files reveal every damage, and come back unchanged otherwise."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from orchestrator.results import sealed
from orchestrator.results.sealed import DigestMismatch

PARQUET = sealed.sealed_parquet(pa.table({"a": [1, 2]}), store_schema=False)


@pytest.mark.parametrize("content", [PARQUET, sealed.sealed_json({"a": 1})], ids=["parquet", "json"])
def test_every_flipped_bit_of_a_sealed_file_is_noticed(content):
    sealed.check_sealed(content)
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 1 << random.Random(at).randrange(8)
        with pytest.raises(DigestMismatch):
            sealed.check_sealed(bytes(damaged))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_sealed_file_is_noticed(share):
    content = sealed.sealed_json({"a": list(range(100))})
    with pytest.raises(DigestMismatch):
        sealed.check_sealed(content[: int(share * len(content))])


def test_values_of_sealed_json_are_read_unchanged():
    assert sealed.read_sealed_json(sealed.sealed_json({"a": [1, None], "b": "ü"})) == {"a": [1, None], "b": "ü"}


def test_a_file_sealed_piece_by_piece_equals_one_sealed_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(sealed, "PIECE_BYTES", 7)
    content, path = sealed.UNSEALED.encode() + b"x" * 9000, tmp_path / "f"
    path.write_bytes(content)
    sealed.seal_file(path)
    assert path.read_bytes() == sealed.seal(content)
    sealed.check_sealed(path.read_bytes())
    sealed.check_sealed_file(path)
    path.write_bytes(path.read_bytes()[:-1] + b"y")
    with pytest.raises(DigestMismatch, match="SHA-256 differs"):
        sealed.check_sealed_file(path)


def test_a_file_without_room_for_its_digest_is_not_sealed():
    with pytest.raises(ValueError, match="must contain unlearn-sha256:0"):
        sealed.seal(b"{}")
