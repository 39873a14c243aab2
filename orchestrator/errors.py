"""Exceptions and warnings of a command, and errors of other libraries in one line."""

from __future__ import annotations

import errno
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

CHOOSE = "Choose a folder that you can write to: --results or --out (caches: UNLEARN_CACHE, scratch files: TMPDIR)"
ADVICE = {
    errno.ENOTDIR: "A part of this path is a file. " + CHOOSE,
    errno.EACCES: CHOOSE,
    errno.EPERM: CHOOSE,
    errno.EROFS: CHOOSE,
    errno.EEXIST: "There is a file where a folder must be. " + CHOOSE,
    errno.ENOENT: "Check the path",
    errno.EISDIR: "Name a file, not a folder",
    errno.ENAMETOOLONG: "Choose a shorter path",
}
"""What to do about an error of the file system, by its number."""

CREDENTIALS = re.compile(r"(?<=://)[^\s/?#'\"<>]+@")
"""The part of a URL between its scheme and its host."""


class Interrupted(Exception):
    """A launch was interrupted; finished trials are in the results folder."""


class StoppedEarly(Exception):
    """A launch stopped itself: the same error repeatedly, a full disk, or a folder that another driver took over."""


class FolderFull(OSError):
    """A results folder has no room for a file, of which nothing was written."""


class DamagedFile(UserWarning):
    """A file cannot be read: a power cut, a full disk or an incomplete copy truncated it."""


class RecordingsNotice(UserWarning):
    """A user should know this about the recordings of a corpus, or about a removal request; it is no error."""


class TrackerFailed(UserWarning):
    """A tracker of `log_to` failed; the launch goes on without it."""


class TooLarge(UserWarning):
    """Trials may need more memory than any machine of the cluster has."""


class ParentLost(FileNotFoundError):
    """The result of an earlier trial is missing or unreadable; the row of that trial was removed, and it runs again."""


class LeaseLost(OSError):
    """Another driver has taken over the results folder; this process writes nothing more."""


class StorageError(OSError):
    """A request to an object store failed after all attempts. The trial can be tried again."""


def in_one_line(error: OSError | RuntimeError) -> str:
    """Return an error of the file system in one line: what failed, the file, and what to do.

    A RuntimeError is the one that Python raises if there is no home folder.
    """
    if isinstance(error, RuntimeError):
        return "There is no home folder. Set HOME, or set UNLEARN_CACHE to a folder for corpora and features"
    if isinstance(error, StorageError) or not error.strerror:
        return without_credentials(" ".join(str(error).split()))
    name = error.filename2 or error.filename  # of a renaming, what the user named, not our temporary name
    advice = ADVICE.get(error.errno or 0, "")
    return f"{error.strerror}{f': {name}' if name else ''}{f'. {advice}' if advice else ''}"


def first_line(error: object) -> str:
    """Return the first line of an error's text, without credentials; the name of its type if it has no text."""
    return without_credentials(next(iter(str(error).strip().splitlines()), type(error).__name__))


def without_credentials(text: str) -> str:
    """Return a text whose URLs have lost their user names and passwords: `http://user:word@host` is `http://host`."""
    return CREDENTIALS.sub("", text)


def type_and_first_line(error: BaseException) -> str:
    """Return the name of an error's type and the first line of its text, if it has one."""
    name, line = type(error).__name__, first_line(error)
    return name if line == name else f"{name}: {line}"


def _interrupt(number: int, frame: FrameType | None) -> None:
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in `nohup unlearn run … &` in a script
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM do inside this context what Ctrl-C does; SLURM, Kubernetes and `ray job stop` send it first."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
