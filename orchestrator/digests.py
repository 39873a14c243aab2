"""Compute SHA-256 of files, and remember it by their `stat`; check folders that contain the digests of their files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import platformdirs

from orchestrator.errors import DamagedFile, RecordingsNotice

DATABASE = "digests.sqlite"  # in the cache folder
SIDECAR = "digests.json"  # in a folder, with the digests of its other files
THREADS = 8
SETTLED_NS = 1_000_000_000  # newer files are read again: `stat` does not show two changes within one tick of the clock
LONG_READ_BYTES = 5 * 10**9  # from which a notice says that files are read
BUSY_SECONDS = 5.0  # to wait for another process that writes the database
TABLE = "CREATE TABLE IF NOT EXISTS digests (path BLOB PRIMARY KEY, state TEXT, sha256 TEXT) WITHOUT ROWID"


class Digest(NamedTuple):
    """Size and SHA-256 of a file."""

    size: int  # bytes; 0 if the file is missing
    sha256: str  # 64 hex digits; "" if the file is missing or cannot be read


def default_cache_dir() -> Path:
    """Return the folder of corpora, features and digests: `UNLEARN_CACHE`, or one in the user's cache folder."""
    named = os.environ.get("UNLEARN_CACHE")
    return Path(os.path.expanduser(named) if named else platformdirs.user_cache_path("speech-unlearning")).absolute()


def digests_of(paths: Iterable[str | Path]) -> list[Digest]:
    """Return the digests of files in their order; an unchanged file costs one `stat`.

    Digests are kept in the cache folder by path, size, times of change (mtime and ctime, in ns) and inode. Several
    processes may call this at the same time. A cache that cannot be read or written only costs time.
    """
    files = [os.fsencode(os.path.abspath(path)) for path in paths]
    now = time.time_ns()
    found = [_stat(file) for file in files]
    states = ["" if s is None else _state(s) for s in found]
    known = _stored(files, states)
    unknown = [at for at, state in enumerate(states) if state and not known[at]]
    if unknown:
        total = sum(stat.st_size for at in unknown if (stat := found[at]) is not None)
        if total > LONG_READ_BYTES:
            size = f"{len(unknown)} files ({total / 1e9:.0f} GB)"
            notice = f"Reading {size} to compute their digests, which later runs reuse"
            warnings.warn(notice, RecordingsNotice, stacklevel=2)
        with ThreadPoolExecutor(THREADS) as pool:
            for at, sha256 in zip(unknown, pool.map(_sha256_or_empty, [files[at] for at in unknown]), strict=True):
                known[at] = sha256
        _store([
            (files[at], states[at], known[at])
            for at in unknown
            if known[at] and (stat := found[at]) is not None and now - stat.st_ctime_ns > SETTLED_NS
        ])  # fmt: skip
    return [Digest(0 if stat is None else stat.st_size, sha256) for stat, sha256 in zip(found, known, strict=True)]


def sha256_of(path: str | bytes | Path) -> str:
    """Read a file and return its SHA-256 as 64 hex digits.

    Raises:
        OSError: the file is missing or cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_once(path: Path, check: Callable[[Path], None]) -> None:
    """Call `check` on a file, unless the file passed it before and is unchanged.

    Raises:
        Exception: whatever `check` raises.
    """
    file = os.fsencode(os.path.abspath(path))
    stat, key = os.stat(file), file + b"\0checked"
    state = _state(stat)
    if _stored([key], [state])[0]:
        return
    check(path)
    if time.time_ns() - stat.st_ctime_ns > SETTLED_NS:
        _store([(key, state, "passed")])


def seal(folder: Path) -> None:
    """Write the digests of all files of a folder into that folder, so that `damaged_files` can find what changed."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    digests = digests_of(folder / name for name in names)
    listed = {name: digest.sha256 for name, digest in zip(names, digests, strict=True)}
    (folder / SIDECAR).write_text(json.dumps(listed, indent=1))


def damaged_files(folder: Path) -> list[str]:
    """Return the names of the files of a sealed folder that are missing or changed; each host reads a file once."""
    try:
        listed: dict[str, str] = dict(json.loads((folder / SIDECAR).read_text()))
    except (OSError, ValueError, TypeError):
        return [SIDECAR]
    found = digests_of(folder / name for name in listed)
    return [name for (name, sha256), digest in zip(listed.items(), found, strict=True) if digest.sha256 != sha256]


def set_folder_aside(folder: Path, damaged: Sequence[str]) -> None:
    """Move a folder of the cache to `damaged/` in the cache, where nothing reads it, and warn about it by name."""
    target = folder.parent.parent / "damaged" / folder.name
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder, target)
    files = ", ".join(damaged)
    warning = f"{folder} is damaged (changed or missing: {files}). It was moved to {target}, and is built again"
    warnings.warn(warning, DamagedFile, stacklevel=2)


def _state(s: os.stat_result) -> str:
    return f"{s.st_size} {s.st_mtime_ns} {s.st_ctime_ns} {s.st_ino}"


def _stat(file: bytes) -> os.stat_result | None:
    try:
        return os.stat(file)
    except OSError:
        return None


def _sha256_or_empty(file: bytes) -> str:
    try:
        return sha256_of(file)
    except OSError:
        return ""


def _connect() -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(sqlite3.connect(default_cache_dir() / DATABASE, timeout=BUSY_SECONDS))


def _stored(files: Sequence[bytes], states: Sequence[str]) -> list[str]:
    """Return the stored digests of files that are in these states; "" for all others."""
    known = [""] * len(files)
    try:
        if not (default_cache_dir() / DATABASE).is_file():
            return known
        with _connect() as database:
            for at, (file, state) in enumerate(zip(files, states, strict=True)):
                row = database.execute("SELECT state, sha256 FROM digests WHERE path = ?", (file,)).fetchone()
                if state and row and row[0] == state:
                    known[at] = row[1]
    except (sqlite3.Error, OSError) as error:
        _drop_if_damaged(error)
        return [""] * len(files)
    return known


def _store(rows: Sequence[tuple[bytes, str, str]]) -> None:
    if not rows:
        return
    try:
        default_cache_dir().mkdir(parents=True, exist_ok=True)
        with _connect() as database, database:
            database.execute(TABLE)
            database.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", rows)
    except (sqlite3.Error, OSError) as error:
        _drop_if_damaged(error)


def _drop_if_damaged(error: Exception) -> None:
    """Remove a file that is no database; errors that may pass, such as a lock, are subclasses of this one."""
    if type(error) is sqlite3.DatabaseError:
        with contextlib.suppress(OSError):
            (default_cache_dir() / DATABASE).unlink()
