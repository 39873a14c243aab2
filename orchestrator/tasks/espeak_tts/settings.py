"""Refuse bad settings early: what is wrong, what was given, what is allowed."""

from __future__ import annotations

import math
from typing import Any


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


def _range(low: float, high: float) -> str:
    return f"of at least {low}" if math.isinf(high) else f"from {low} to {high}"
