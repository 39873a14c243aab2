"""What killed writers left: half-written files, folders and predictions, removed by the next driver."""

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

OLD_SECONDS = 3600.0  # without a change: whoever wrote it is gone
HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{8}")  # as `Folder.new_file` names what it writes
IN_CACHE = {"corpora": ".*-*", "features": ".*-*", "scratch": ".*"}  # folders, and what a builder's scratch is called


def remove_scratch(store: Store, cache_dir: Path) -> None:
    """Remove what killed writers left in a results folder and in the caches that go with it.

    The caller holds the lease of the results folder. Others may use the caches, so only what is old is removed.
    """
    shared = shared_cache(store)
    folders = {cache_dir, store.files.local_path, shared.files.local_path if shared else None}
    for folder in folders - {None}:
        for path in _half_written(Path(str(folder))):
            _remove(path)
    for name, pattern in IN_CACHE.items():
        for path in (cache_dir / name).glob(pattern):
            _remove(path)


def require_writable(cache_dir: Path) -> None:
    """Make a cache folder, in which each trial has its scratch file.

    Raises:
        OSError: it cannot be written, which would fail each trial by itself.
    """
    scratch = cache_dir / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=scratch, prefix=".writable-"):
        pass


def _half_written(folder: Path) -> Iterator[Path]:
    """Files that `Folder` was writing, one or two folders deep, where results and caches have theirs."""
    for pattern in (".*", "*/.*", "*/*/.*"):
        yield from (path for path in folder.glob(pattern) if HALF_WRITTEN.fullmatch(path.name))


def _remove(path: Path) -> None:
    with suppress(OSError):  # another process was faster, or it is not ours to remove
        if time.time() - max(entry.stat().st_mtime for entry in (path, *path.rglob("*"))) < OLD_SECONDS:
            return
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
