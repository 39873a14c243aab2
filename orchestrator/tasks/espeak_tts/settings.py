"""Refuse bad settings early: what is wrong, what was given, what is allowed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from orchestrator.tasks.espeak_tts.acoustics import NOISES


def number(name: str, value: Any, low: float, high: float) -> float:
    """`value` as a float, if it is a number in [low, high]; else ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} must be a number {_range(low, high)}, got {value!r}")
    return float(value)


def whole(name: str, value: Any, low: int, high: float) -> int:
    """`value`, if it is a whole number in [low, high]; else ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number {_range(low, high)}, got {value!r}")
    return value


def span(name: str, value: Any, low: float, high: float) -> tuple[float, float]:
    """`value` as a pair of floats, if it is [low, high] with both in range; else ValueError."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"{name} must be a pair [low, high], got {value!r}")
    first, last = (number(name, end, low, high) for end in value)
    if first > last:
        raise ValueError(f"{name} must be a pair [low, high] with low <= high, got {value!r}")
    return first, last


def shares_and_conditions(task: Any) -> dict[str, Any]:
    """The settings that every synthetic corpus has, in one form (1 as 1.0, a list as a tuple); else ValueError."""
    checked: dict[str, Any] = {
        "snr_db": span("snr_db", task.snr_db, -30, 100),
        "level_db": span("level_db", task.level_db, -60, 0),
        "voice_spread": number("voice_spread", task.voice_spread, 0.001, 1),
        "pitch_jitter": number("pitch_jitter", task.pitch_jitter, 0, 50),
        "rate_jitter": number("rate_jitter", task.rate_jitter, 0, 100),
        "test_share": number("test_share", task.test_share, 0.001, 0.4),
        "validation_share": number("validation_share", task.validation_share, 0.001, 0.4),
        "holdout_share": number("holdout_share", task.holdout_share, 0, 0.5),
        "noises": _noises(task.noises),
    }
    if task.workers is not None:
        whole("workers", task.workers, 1, 1024)
    return checked


def _noises(given: str | Sequence[str]) -> tuple[str, ...]:
    noises = (given,) if isinstance(given, str) else tuple(given)
    if not noises or not set(noises) <= set(NOISES):
        raise ValueError(f"noises must be one or more of {', '.join(NOISES)}, got {given!r}")
    return noises


def _range(low: float, high: float) -> str:
    return f"of at least {low}" if math.isinf(high) else f"from {low} to {high}"
