"""Files that hold their own SHA-256, so that a damaged one is named wherever it is read.

A sealed file has `unlearn-sha256:` and 64 hex digits in it, taken over the whole file with zeros in their place. So
each flipped bit is noticed, in a footer or header too, in any format that can carry a line of text (metadata of Parquet
and safetensors, a value in JSON); and a file and its digest are written by one rename.
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
"""To put into a file's metadata before it is sealed."""

HEAD_BYTES = 4096  # the mark is looked for here first: safetensors has its metadata in front, Parquet at the end
PIECE_BYTES = 2**20


class DigestMismatch(ValueError):
    """A file is not what was written: damaged, or without a digest."""


def seal(content: bytes) -> bytes:
    """A file's content that holds `UNSEALED`, with its digest in that place."""
    at, found = _place(content), bytearray(content)
    if at is None or found[at : at + 64] != b"0" * 64:
        raise ValueError("nothing to seal: got a file without the place for its digest")
    found[at : at + 64] = hashlib.sha256(content).hexdigest().encode()
    return bytes(found)


def check_sealed(content: bytes) -> None:
    """Compare a sealed file's content with its digest.

    Raises:
        DigestMismatch: it differs, or there is none.
    """
    at = _place(content)
    if at is None:
        raise DigestMismatch("it holds no digest" if content else "it is empty")
    whole = memoryview(content)
    digest = hashlib.sha256(whole[:at])
    digest.update(b"0" * 64)
    digest.update(whole[at + 64 :])
    if digest.hexdigest().encode() != content[at : at + 64]:
        raise DigestMismatch("its SHA-256 differs from the one that it was written with")


def seal_file(path: Path) -> None:
    """`seal` for a file whose mark is among its first bytes, piece by piece."""
    with path.open("r+b") as file:
        at = _place(file.read(HEAD_BYTES))
        assert at is not None
        digest = _zeroed(file, at)
        file.seek(at)
        file.write(digest.encode())


def check_sealed_file(path: Path) -> None:
    """`check_sealed` for such a file, piece by piece."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        at = _place(head)
        if at is None:
            raise DigestMismatch("it holds no digest" if head else "it is empty")
        digest = _zeroed(file, at)
    if digest.encode() != head[at : at + 64]:
        raise DigestMismatch("its SHA-256 differs from the one that it was written with")


def _place(content: bytes) -> int | None:
    """Where the 64 digits stand."""
    mark = MARK.encode()
    found = content.find(mark, 0, HEAD_BYTES)
    found = content.rfind(mark) if found < 0 else found
    at = found + len(mark)
    return None if found < 0 or at + 64 > len(content) else at


def _zeroed(file: BinaryIO, at: int) -> str:
    file.seek(0)
    digest = hashlib.sha256(file.read(at))
    digest.update(b"0" * 64)
    file.seek(at + 64)
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def sealed_json(values: Mapping[str, Any]) -> bytes:
    """Plain values as a sealed JSON file; `digest` may be none of their names. `read_sealed_json` gives them back."""
    return seal(json.dumps({**values, "digest": UNSEALED}, indent=1, default=str).encode())


def read_sealed_json(content: bytes) -> dict[str, Any]:
    """The values of a sealed JSON file.

    Raises:
        DigestMismatch: it is damaged, or was never sealed.
    """
    check_sealed(content)
    values: dict[str, Any] = json.loads(content)
    del values["digest"]
    return values


def sealed_parquet(table: pa.Table, **options: Any) -> bytes:
    """A table as a sealed Parquet file; `options` are those of `pyarrow.parquet.ParquetWriter`."""
    table = table.replace_schema_metadata(None)  # the digest of a file that it was read from
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, **options) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"digest": UNSEALED})
    return seal(sink.getvalue().to_pybytes())


def read_sealed_parquet(content: bytes) -> pa.Table:
    """The table of a sealed Parquet file.

    Raises:
        DigestMismatch: it is damaged, or was never sealed.
    """
    check_sealed(content)
    return pq.read_table(pa.BufferReader(content), use_threads=len(content) > PIECE_BYTES)
