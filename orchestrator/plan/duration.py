"""Durations and sizes in words: estimates with a round number and a unit, measured times to the second."""

from __future__ import annotations

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def in_words(seconds: float) -> str:
    """Round an estimate to what a reader needs: `40 seconds`, `5 minutes`, `3.2 hours`, `4 days`."""
    if seconds < 1:
        return "less than a second" if seconds > 0 else "no time"
    for unit, size, least in (("day", DAY, 2 * DAY), ("hour", HOUR, 1.5 * HOUR), ("minute", MINUTE, 1.5 * MINUTE)):
        if seconds >= least:
            return _count(seconds / size, unit, digits=0 if unit == "minute" else 1)
    return _count(seconds, "second", digits=0)


def _count(number: float, unit: str, digits: int) -> str:
    text = f"{number:,.{digits if number < 9.95 else 0}f}".removesuffix(".0")
    return f"{text} {unit}{'' if text == '1' else 's'}"


def exact(seconds: float) -> str:
    """Give a measured time to the second: `4.2 s`, `4 min 22 s`, `3 h 05 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / MINUTE)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size_in_words(num_bytes: float) -> str:
    """Round a size: `40 kB`, `12 MB`, `3.2 GB`."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= size:
            return f"{num_bytes / size:.{1 if num_bytes < 9.95 * size else 0}f}".removesuffix(".0") + f" {unit}"
    return f"{num_bytes / 1e3:.0f} kB"
