"""SHA-256 of files, remembered by what `stat` says of them; and folders whose files carry their digests with them."""

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

STORE = "digests.sqlite"  # in the cache folder
SIDECAR = "digests.json"  # in a folder, of its other files
THREADS = 8
SETTLED_NS = 1_000_000_000  # younger files are read again: a second change within one tick of the clock would not show
LONG_READ_BYTES = 5 * 10**9  # to read which takes long enough to say so
BUSY_SECONDS = 5.0  # for another process that writes the store
TABLE = "CREATE TABLE IF NOT EXISTS digests (path BLOB PRIMARY KEY, state TEXT, sha256 TEXT) WITHOUT ROWID"


class Digest(NamedTuple):
    """What a file holds."""

    size: int  # bytes
    sha256: str  # 64 hex digits; empty where the file is missing or cannot be read


def default_cache_dir() -> Path:
    """Where corpora, features and digests are kept: `UNLEARN_CACHE`, or the user's cache folder."""
    named = os.environ.get("UNLEARN_CACHE")
    return Path(os.path.expanduser(named) if named else platformdirs.user_cache_path("speech-unlearning")).absolute()


def digests_of(paths: Iterable[str | Path]) -> list[Digest]:
    """Digest files, in their order; a file that is unchanged since the last time costs one `stat`.

    Digests are kept in the cache folder by path, size, times of change (mtime and ctime, in ns) and inode. Many
    processes may ask at once; a cache that cannot be read or written only costs time.
    """
    files = [os.fsencode(os.path.abspath(path)) for path in paths]
    now = time.time_ns()
    found = [_stat(file) for file in files]
    states = ["" if s is None else _state(s) for s in found]
    known = _recalled(files, states)
    unknown = [at for at, state in enumerate(states) if state and not known[at]]
    if unknown:
        total = sum(stat.st_size for at in unknown if (stat := found[at]) is not None)
        if total > LONG_READ_BYTES:
            said = f"reading {len(unknown)} files ({total / 1e9:.0f} GB) for their digests, which are then remembered"
            warnings.warn(said, RecordingsNotice, stacklevel=2)
        with ThreadPoolExecutor(THREADS) as pool:
            for at, sha256 in zip(unknown, pool.map(_sha256, [files[at] for at in unknown]), strict=True):
                known[at] = sha256
        _remember([
            (files[at], states[at], known[at])
            for at in unknown
            if known[at] and (stat := found[at]) is not None and now - stat.st_ctime_ns > SETTLED_NS
        ])  # fmt: skip
    return [Digest(0 if stat is None else stat.st_size, sha256) for stat, sha256 in zip(found, known, strict=True)]


def check_once(path: Path, check: Callable[[Path], None]) -> None:
    """Check a file, unless it passed in its present state before; what `check` raises is raised."""
    file = os.fsencode(os.path.abspath(path))
    stat, key = os.stat(file), file + b"\0checked"
    state = _state(stat)
    if _recalled([key], [state])[0]:
        return
    check(path)
    if time.time_ns() - stat.st_ctime_ns > SETTLED_NS:
        _remember([(key, state, "passed")])


def seal(folder: Path) -> None:
    """Write the digests of all files of a folder into it, so that `damaged_files` can find what changed."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    digests = digests_of(folder / name for name in names)
    listed = {name: digest.sha256 for name, digest in zip(names, digests, strict=True)}
    (folder / SIDECAR).write_text(json.dumps(listed, indent=1))


def damaged_files(folder: Path) -> list[str]:
    """Names of the files of a sealed folder that are missing or hold something else; each is read once a host."""
    try:
        listed: dict[str, str] = dict(json.loads((folder / SIDECAR).read_text()))
    except (OSError, ValueError, TypeError):
        return [SIDECAR]
    found = digests_of(folder / name for name in listed)
    return [name for (name, sha256), digest in zip(listed.items(), found, strict=True) if digest.sha256 != sha256]


def set_folder_aside(folder: Path, damaged: Sequence[str]) -> None:
    """Move a folder of the cache to `damaged/` there, where nothing reads it, and warn of it by name."""
    target = folder.parent.parent / "damaged" / folder.name
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder, target)
    said = f"{folder} is damaged ({', '.join(damaged)} differ from their digests); moved to {target}, and made again"
    warnings.warn(said, DamagedFile, stacklevel=2)


def _state(s: os.stat_result) -> str:
    return f"{s.st_size} {s.st_mtime_ns} {s.st_ctime_ns} {s.st_ino}"


def _stat(file: bytes) -> os.stat_result | None:
    try:
        return os.stat(file)
    except OSError:
        return None


def _sha256(file: bytes) -> str:
    try:
        with open(file, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def _connected() -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(sqlite3.connect(default_cache_dir() / STORE, timeout=BUSY_SECONDS))


def _recalled(files: Sequence[bytes], states: Sequence[str]) -> list[str]:
    """Digests of the files that are in this state in the store; empty texts for all others."""
    known = [""] * len(files)
    try:
        if not (default_cache_dir() / STORE).is_file():
            return known
        with _connected() as store:
            for at, (file, state) in enumerate(zip(files, states, strict=True)):
                row = store.execute("SELECT state, sha256 FROM digests WHERE path = ?", (file,)).fetchone()
                if state and row and row[0] == state:
                    known[at] = row[1]
    except (sqlite3.Error, OSError) as error:
        _drop_if_damaged(error)
        return [""] * len(files)
    return known


def _remember(rows: Sequence[tuple[bytes, str, str]]) -> None:
    if not rows:
        return
    try:
        default_cache_dir().mkdir(parents=True, exist_ok=True)
        with _connected() as store, store:
            store.execute(TABLE)
            store.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", rows)
    except (sqlite3.Error, OSError) as error:
        _drop_if_damaged(error)


def _drop_if_damaged(error: Exception) -> None:
    """Remove a store that is no database any more; errors of the moment are subclasses of this one."""
    if type(error) is sqlite3.DatabaseError:
        with contextlib.suppress(OSError):
            (default_cache_dir() / STORE).unlink()
