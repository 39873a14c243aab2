"""End a trial that hangs: raise `Hung` in its thread when it has reported no progress for too long.

In the main thread a signal interrupts Python code at once, sleeps included. Another thread is interrupted at its next
instruction. A call into C that never returns cannot be interrupted: then the watchdog's own thread calls `give_up`.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
GRACE_SECONDS = 30.0  # between the interruption and `give_up`
SIGNAL = getattr(signal, "SIGUSR2", None)  # Windows has none


class Hung(BaseException):
    """There was no progress for too long. Not an Exception, so that no `except Exception` of a method catches it."""


class Watchdog:
    """Watch the thread that enters this context, until it leaves; the thread reports progress with `beat`."""

    def __init__(
        self,
        limit_seconds: float | None,
        give_up: Callable[[str], None] | None = None,
        grace_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set the limit.

        Args:
            limit_seconds: without progress; None watches nothing.
            give_up: called with the stack of a thread that could not be interrupted.
            grace_seconds: between the interruption and `give_up`; `GRACE_SECONDS` by default.
            clock: may leave out the seconds in which the process was stopped, which are no hang.
        """
        self._clock = clock
        self.limit_seconds, self.give_up = limit_seconds, give_up
        self.grace_seconds = GRACE_SECONDS if grace_seconds is None else grace_seconds
        self.report = ""  # what hung, and where
        self._last_beat = 0.0
        self._over = threading.Event()
        self._watched = 0
        self._guard: threading.Thread | None = None
        self._by_signal = False
        self._handler: Any = None  # the signal's earlier handler

    def beat(self) -> None:
        """Report progress."""
        self._last_beat = self._clock()

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items. The time that making each one takes is watched, the time that the caller uses it is not."""
        iterator, end = iter(items), object()
        while True:
            with self:
                item: Any = next(iterator, end)
            if item is end:
                return
            yield item

    def __enter__(self) -> Watchdog:
        if self.limit_seconds is None:
            return self
        self.beat()
        self._over = threading.Event()
        self._watched = threading.get_ident()
        self._by_signal = SIGNAL is not None and threading.current_thread() is threading.main_thread()
        if SIGNAL is not None and self._by_signal:
            self._handler = signal.signal(SIGNAL, self._raise)
        self._guard = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._guard.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        if self._guard is None:
            return
        self._guard.join()
        self._guard = None
        if SIGNAL is not None and self._by_signal:
            signal.signal(SIGNAL, self._handler or signal.SIG_DFL)
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._watched), None)
        if isinstance(error, Hung):
            error.args = (self.report,)

    def _watch(self) -> None:
        assert self.limit_seconds is not None
        while not self._over.wait(max(0.0, self._last_beat + self.limit_seconds - self._clock())):
            if self._clock() - self._last_beat >= self.limit_seconds:
                break
        else:
            return
        frame = sys._current_frames().get(self._watched)
        stack = "".join(traceback.format_stack(frame)) if frame else ""
        self.report = f"It hung here:\n{stack}no progress for {self.limit_seconds:g} s (hang_seconds)"
        while not self._over.is_set():
            self._interrupt()
            if not self._over.wait(self.grace_seconds) and self.give_up:
                self.give_up(self.report)
                return

    def _interrupt(self) -> None:
        if SIGNAL is not None and self._by_signal:
            signal.pthread_kill(self._watched, SIGNAL)
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._watched), ctypes.py_object(Hung))

    def _raise(self, number: int, frame: object) -> None:
        if not self._over.is_set():  # otherwise the block has ended in the meantime
            raise Hung
