"""Identify this process, and tell whether the process of an identity still runs on this machine.

On Linux the identity comes from `/proc`: boot, process namespace and start in ticks. They distinguish containers of one
host, which psutil cannot. Where there is no `/proc` (macOS, Windows), psutil gives host, boot time and creation time.
"""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path

PROC = Path("/proc")
SAME_START_SECONDS = 2.0  # creation times of one process agree this well, unless the clock was set in between


def machine() -> str:
    """Return a string that is equal for processes that see each other's process IDs; "" if none can be made."""
    if not PROC.exists():
        import psutil

        return f"{socket.gethostname()} {uuid.getnode():012x} {psutil.boot_time():.0f}"
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink(PROC / 'self/ns/pid')}"
    except OSError:
        return ""


def start_of(pid: int) -> str | None:
    """Return when a process of this machine started; None if it does not run, also if only its parent must reap it.

    The value is opaque: ticks since boot with `/proc`, otherwise seconds since the epoch.
    """
    return _start_ticks(pid) if PROC.exists() else _creation_time(pid)


def has_ended(machine_id: str, pid: int, start: str) -> bool | None:
    """Return whether the process that had this identity has ended; None if this machine cannot know.

    Args:
        machine_id: `machine()` in that process.
        pid: its process ID.
        start: `start_of(pid)` at that time.
    """
    if not (machine_id and start) or machine_id != machine():
        return None
    current = start_of(pid)
    if current is None:
        return True
    if PROC.exists():
        return current != start
    same = _differ_by(current, start) <= SAME_START_SECONDS
    return False if same else None  # another process with this ID, or a clock that was set


def _start_ticks(pid: int) -> str | None:
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _creation_time(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.AccessDenied:
        return ""  # it runs, and belongs to somebody else
    except (psutil.NoSuchProcess, ValueError):
        return None


def _differ_by(current: str, start: str) -> float:
    try:
        return abs(float(current) - float(start))
    except ValueError:
        return float("inf")
