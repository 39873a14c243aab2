"""The scratch folder of a run of `unlearn forget`: marked and locked, so that no other folder is taken for one."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = ".unlearn-forget-"
MARKER, LOCK = ".unlearn-forget", ".unlearn-forget.lock"
CONTENT = "Scratch folder of a run of unlearn forget; without a running process, it can be removed.\n"


@contextmanager
def scratch_folder(out: Path) -> Iterator[Path]:
    """Make a folder next to an output, hold its lock while the block runs, and remove it.

    Its name does not have that of the output, which may name a person: reports of other requests list what is left.

    Raises:
        ValueError: another process is writing this output.
    """
    claim = out.parent / f"{PREFIX}{hashlib.sha256(out.name.encode()).hexdigest()[:16]}.lock"
    try:
        with FileLock(claim, timeout=0):
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=out.parent))
            try:
                with FileLock(folder / LOCK):
                    (folder / MARKER).write_text(CONTENT, encoding="utf-8")
                    yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                claim.unlink(missing_ok=True)
    except Timeout as error:
        if error.lock_file != str(claim):
            raise
        raise ValueError(f"Another run is writing {out}. Wait for it, or name another --out") from None


def marked_folders(where: Path) -> list[Path]:
    """Return the folders there that runs of `unlearn forget` have made, in use or not."""
    return sorted(folder for folder in where.glob(".*-*") if is_marked(folder)) if where.is_dir() else []


def is_marked(folder: Path) -> bool:
    """Return whether a run of `unlearn forget` has made a folder."""
    try:
        return not folder.is_symlink() and (folder / MARKER).read_text(encoding="utf-8") == CONTENT
    except (OSError, UnicodeDecodeError):
        return False


def remove_unused(folder: Path) -> bool:
    """Remove a folder that `scratch_folder` made; return False if its process still runs.

    Raises:
        OSError: it cannot be removed.
    """
    try:
        with FileLock(folder / LOCK, timeout=0):
            shutil.rmtree(folder)
    except Timeout:
        return False
    return True
