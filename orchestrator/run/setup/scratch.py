"""Remove what killed processes left: files, folders and predictions that were only partly written."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from orchestrator.results.store import Store
from orchestrator.run.setup.shared_cache import shared_cache

OLD_SECONDS = 3600.0  # without a change, after which no process can still be writing
PARTLY_WRITTEN = re.compile(r"\..+\.[0-9a-f]{8}")  # names that `Folder.new_file` gives
IN_CACHE = {"corpora": ".*-*", "features": ".*-*", "scratch": ".*"}  # folder → pattern of a builder's scratch files


def remove_scratch(store: Store, cache_dir: Path) -> None:
    """Remove what killed processes left in a results folder and in the caches that its trials use.

    The caller has the lease of the results folder. Other processes may use the caches, so only old files are removed.
    """
    shared = shared_cache(store)
    folders = {cache_dir, store.files.local_path, shared.files.local_path if shared else None}
    for folder in folders - {None}:
        for path in _partly_written(Path(str(folder))):
            _remove(path)
    for name, pattern in IN_CACHE.items():
        for path in (cache_dir / name).glob(pattern):
            _remove(path)


def require_writable(cache_dir: Path) -> None:
    """Create a cache folder, and check that trials can write their scratch files there.

    Raises:
        OSError: the folder cannot be written, so that every trial would fail.
    """
    scratch = cache_dir / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=scratch, prefix=".writable-"):
        pass


def is_old(path: Path) -> bool:
    """Return whether nothing in a file or folder changed for `OLD_SECONDS`, so that no process can be writing it.

    Raises:
        OSError: it is gone, or cannot be read.
    """
    return time.time() - max(entry.stat().st_mtime for entry in (path, *path.rglob("*"))) >= OLD_SECONDS


def _partly_written(folder: Path) -> Iterator[Path]:
    """Yield files that a `Folder` was writing, at the depths at which results and caches have files."""
    for pattern in (".*", "*/.*", "*/*/.*"):
        yield from (path for path in folder.glob(pattern) if PARTLY_WRITTEN.fullmatch(path.name))


def _remove(path: Path) -> None:
    with suppress(OSError):  # another process has removed it, or this user may not
        if not is_old(path):
            return
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
