"""Ends a trial that hangs: when nothing was heard of it for too long, `Hung` is raised where it stands.

Python code, sleeps included, is interrupted at once in the main thread (by a signal) and at its next instruction in
another one. A call into C that never returns cannot be; then `give_up` is called, from the watchdog's own thread.
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
    """Nothing was heard for too long; not an Exception, so that a method's `except Exception` cannot keep it."""


class Watchdog:
    """Watches the thread that enters it, while it is inside; `beat` says that there is progress."""

    def __init__(
        self,
        limit_seconds: float | None,
        give_up: Callable[[str], None] | None = None,
        grace_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """No limit: nothing is watched. `give_up` hears the stack of a thread that nothing could interrupt. `clock` may
        leave out seconds in which the process was stopped: they are no hang."""
        self._clock = clock
        self.limit_seconds, self.give_up = limit_seconds, give_up
        self.grace_seconds = GRACE_SECONDS if grace_seconds is None else grace_seconds
        self.report = ""  # what hung, and where
        self._heard = 0.0
        self._over = threading.Event()
        self._watched = 0
        self._guard: threading.Thread | None = None
        self._by_signal = False
        self._handler: Any = None  # of the signal, before

    def beat(self) -> None:
        """There is progress."""
        self._heard = self._clock()

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """The items, watched while each is made, and not while the caller has it."""
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
        while not self._over.wait(max(0.0, self._heard + self.limit_seconds - self._clock())):
            if self._clock() - self._heard >= self.limit_seconds:
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
        if not self._over.is_set():  # else it came too late: the block has ended by itself
            raise Hung
