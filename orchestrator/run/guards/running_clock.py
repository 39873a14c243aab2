"""Measure time without pauses of the process (SIGSTOP, a suspended machine), which no budget is charged for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

TICK_SECONDS = 0.25
PAUSE_SECONDS = 3.0  # without a tick; shorter ones count as time
BUSY_SHARE, BUSY_SECONDS = 0.1, 0.5  # of a pause, that its thread may have computed: just before and after it


class RunningClock:
    """Return seconds whose differences are meaningful, as `time.perf_counter` does, without pauses.

    Inside the context a thread ticks. A gap between ticks is a pause if the thread that created the clock used no CPU
    in it. If it did, it was in a call into C that kept other threads from running.
    """

    def __init__(
        self, seconds: Callable[[], float] = time.perf_counter, busy: Callable[[], float] | None = None
    ) -> None:
        """Start the clock.

        Args:
            seconds: the clock with pauses.
            busy: CPU seconds of the thread whose time is measured; of the calling thread by default.
        """
        self._seconds, self._busy = seconds, busy or _own_processor_seconds()
        self._last, self._last_busy, self._paused = self._seconds(), self._busy(), 0.0
        self._lock, self._over = threading.Lock(), threading.Event()
        self._ticker: threading.Thread | None = None

    def __call__(self) -> float:
        """Return the seconds without all pauses up to now, including one that has just ended."""
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
