"""How a command may end other than well: outcomes that are no errors of a user."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupted(Exception):
    """A launch was stopped before its end; what is finished is in the results folder."""


class StorageError(OSError):
    """An object store did not do what was asked, after all attempts. An error of the moment for a trial."""


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
