"""How a command may end other than well, and what it warns of: outcomes that are no errors of a user."""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CHOOSE = "Choose a folder that you can write with --results or --out (caches: UNLEARN_CACHE, scratch files: TMPDIR)"
ADVICE = {
    errno.ENOTDIR: "A part of this path is a file. " + CHOOSE,
    errno.EACCES: CHOOSE,
    errno.EPERM: CHOOSE,
    errno.EROFS: CHOOSE,
    errno.EEXIST: "A file is in the place of a folder. " + CHOOSE,
    errno.ENOENT: "Check the path",
    errno.EISDIR: "Name a file, not a folder",
    errno.ENAMETOOLONG: "Choose a shorter path",
}
"""What to do about errors of a disk."""


class Interrupted(Exception):
    """A launch was stopped before its end; what is finished is in the results folder."""


class StoppedEarly(Exception):
    """A launch gave up: the same error again and again, a full disk, or a folder that another driver took over."""


class FolderFull(OSError):
    """No room in a results folder; nothing of the file was written."""


class DamagedFile(UserWarning):
    """A file of a results folder that cannot be read: torn by a power cut or a full disk, or truncated by a copy."""


class RecordingsNotice(UserWarning):
    """What a user should know of the recordings of a corpus, or of a removal request: no error."""


class TooLarge(UserWarning):
    """Trials that may need more memory than any machine of the cluster has."""


class ParentLost(FileNotFoundError):
    """What an earlier trial made is not there or cannot be read; that trial has no row any more, and runs again."""


class LeaseLost(OSError):
    """Another driver has taken over the results folder: what this process made is not written."""


class StorageError(OSError):
    """An object store did not carry out a request, after all attempts. For a trial this is a temporary error."""


def in_one_line(error: OSError | RuntimeError) -> str:
    """What the machine refused, with the file and what may help; a RuntimeError is Python's about a missing home."""
    if isinstance(error, RuntimeError):
        return "No home folder is known: set HOME, or UNLEARN_CACHE to a folder for corpora and features"
    if isinstance(error, StorageError) or not error.strerror:
        return " ".join(str(error).split())
    name = " -> ".join(str(name) for name in (error.filename, error.filename2) if name)
    advice = ADVICE.get(error.errno or 0, "")
    return f"{error.strerror}{f': {name}' if name else ''}{f'. {advice}' if advice else ''}"


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Within, SIGTERM does what Ctrl-C does: SLURM, Kubernetes and `ray job stop` announce the end with it."""
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
