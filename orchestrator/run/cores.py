"""The CPU cores that this process may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Count the cores that this process may use: all of the machine's, unless it is restricted to some."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
