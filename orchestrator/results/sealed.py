"""Write and check files that contain their own SHA-256, so that damage is noticed wherever a file is read.

A sealed file contains `unlearn-sha256:` and 64 hex digits: the SHA-256 of the whole file with zeros in their place. So
every flipped bit is noticed, also in headers and footers, in any format that can contain a line of text (metadata of
Parquet and safetensors, a value in JSON). One rename writes both the file and its digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

MARK = "unlearn-sha256:"
UNSEALED = f"{MARK}{'0' * 64}"
"""What the metadata of a file must contain before the file is sealed."""

HEAD_BYTES = 4096  # searched first: safetensors has its metadata at the start, Parquet at the end
PIECE_BYTES = 2**20


class DigestMismatch(ValueError):
    """A file is damaged, or contains no digest."""


def seal(content: bytes) -> bytes:
    """Replace the zeros of `UNSEALED` in a file's content by its digest.

    Raises:
        ValueError: the content does not contain `UNSEALED`.
    """
    at, sealed = _digest_position(content), bytearray(content)
    if at is None or sealed[at : at + 64] != b"0" * 64:
        raise ValueError(f"A file to be sealed must contain {UNSEALED}")
    sealed[at : at + 64] = hashlib.sha256(content).hexdigest().encode()
    return bytes(sealed)


def check_sealed(content: bytes) -> None:
    """Compare the content of a sealed file with its digest.

    Raises:
        DigestMismatch: they differ, or there is no digest.
    """
    at = _digest_position(content)
    if at is None:
        raise DigestMismatch("it contains no digest" if content else "it is empty")
    whole = memoryview(content)
    digest = hashlib.sha256(whole[:at])
    digest.update(b"0" * 64)
    digest.update(whole[at + 64 :])
    if digest.hexdigest().encode() != content[at : at + 64]:
        raise DigestMismatch("its SHA-256 differs from the stored one")


def seal_file(path: Path) -> None:
    """Seal a file whose digest is among its first `HEAD_BYTES`, piece by piece."""
    with path.open("r+b") as file:
        at = _digest_position(file.read(HEAD_BYTES))
        assert at is not None
        digest = _digest_with_zeros(file, at)
        file.seek(at)
        file.write(digest.encode())


def check_sealed_file(path: Path) -> None:
    """Compare such a file with its digest, piece by piece.

    Raises:
        DigestMismatch: they differ, or there is no digest.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        at = _digest_position(head)
        if at is None:
            raise DigestMismatch("it contains no digest" if head else "it is empty")
        digest = _digest_with_zeros(file, at)
    if digest.encode() != head[at : at + 64]:
        raise DigestMismatch("its SHA-256 differs from the stored one")


def _digest_position(content: bytes) -> int | None:
    """Return the index of the 64 digits; None if there are none."""
    mark = MARK.encode()
    found = content.find(mark, 0, HEAD_BYTES)
    found = content.rfind(mark) if found < 0 else found
    at = found + len(mark)
    return None if found < 0 or at + 64 > len(content) else at


def _digest_with_zeros(file: BinaryIO, at: int) -> str:
    file.seek(0)
    digest = hashlib.sha256(file.read(at))
    digest.update(b"0" * 64)
    file.seek(at + 64)
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def sealed_json(values: Mapping[str, Any]) -> bytes:
    """Return the content of a sealed JSON file with these plain values, none of which may be called `digest`."""
    return seal(json.dumps({**values, "digest": UNSEALED}, indent=1, default=str).encode())


def read_sealed_json(content: bytes) -> dict[str, Any]:
    """Return the values of a sealed JSON file.

    Raises:
        DigestMismatch: it is damaged, or was not sealed.
    """
    check_sealed(content)
    values: dict[str, Any] = json.loads(content)
    del values["digest"]
    return values


def sealed_parquet(table: pa.Table, **options: Any) -> bytes:
    """Return the content of a sealed Parquet file with this table; `options` are those of `ParquetWriter`."""
    table = table.replace_schema_metadata(None)  # it may contain the digest of the file that the table was read from
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, **options) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"digest": UNSEALED})
    return seal(sink.getvalue().to_pybytes())


def read_sealed_parquet(content: bytes) -> pa.Table:
    """Return the table of a sealed Parquet file.

    Raises:
        DigestMismatch: it is damaged, or was not sealed.
    """
    check_sealed(content)
    return pq.read_table(pa.BufferReader(content), use_threads=len(content) > PIECE_BYTES)
