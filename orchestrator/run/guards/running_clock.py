"""A clock that stands still while the process does: SIGSTOP, a suspended machine. Nobody is charged for such a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

TICK_SECONDS = 0.25
PAUSE_SECONDS = 3.0  # without a tick; shorter ones count as time
BUSY_SHARE, BUSY_SECONDS = 0.1, 0.5  # of a gap, that its thread may have computed meanwhile: just before and after


class RunningClock:
    """Seconds on which differences are taken, as `time.perf_counter`, without pauses.

    A thread ticks while the clock is entered. A gap between ticks is a pause if the thread that made the clock used no
    processor meanwhile: a call into C that keeps other threads from running computes.
    """

    def __init__(
        self, seconds: Callable[[], float] = time.perf_counter, busy: Callable[[], float] | None = None
    ) -> None:
        """`busy` counts processor seconds of the thread whose time is measured; that of the caller by default."""
        self._seconds, self._busy = seconds, busy or _own_processor_seconds()
        self._last, self._last_busy, self._paused = self._seconds(), self._busy(), 0.0
        self._lock, self._over = threading.Lock(), threading.Event()
        self._ticker: threading.Thread | None = None

    def __call__(self) -> float:
        """Now, less all pauses; a pause that ended just now is found by the call itself."""
        with self._lock:
            now, busy = self._seconds(), self._busy()
            gap, computed = now - self._last, busy - self._last_busy
            if gap > PAUSE_SECONDS and computed < BUSY_SECONDS + BUSY_SHARE * gap:
                self._paused += gap - computed
            self._last, self._last_busy = now, busy
            return now - self._paused

    def __enter__(self) -> RunningClock:
        self._ticker = threading.Thread(target=self._tick, name="running clock", daemon=True)
        self._ticker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        if self._ticker is not None:
            self._ticker.join()

    def _tick(self) -> None:
        while not self._over.wait(TICK_SECONDS):
            self()


def _own_processor_seconds() -> Callable[[], float]:
    if not hasattr(time, "pthread_getcpuclockid"):  # macOS, Windows
        return time.process_time
    clock = time.pthread_getcpuclockid(threading.get_ident())
    return lambda: time.clock_gettime(clock)
