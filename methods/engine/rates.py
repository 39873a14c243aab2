"""Learning rates as shares of the original's own: what `learning_rate: auto` means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Rate = float | Literal["auto"]
"""Of AdamW; `auto` is the method's share of the rate that the original was trained at."""

USUAL_RATE = 1e-4  # at which speech encoders are fine-tuned; used where an original's own rate is not known
SHARES = {"learning_rate": "rate_share", "repair_learning_rate": "repair_rate_share"}
"""The setting that scales each rate while that is `auto`."""


def resolved(settings: Mapping[str, Any], own: float | None) -> dict[str, Any]:
    """Replace each `auto` by its share of the original's own rate, or of `USUAL_RATE` where that is not known."""
    found = dict(settings)
    for rate, share in SHARES.items():
        if found.get(rate) == "auto":
            found[rate] = float(found[share]) * (USUAL_RATE if own is None else own)
    return found


def without_idle_shares(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out shares that have no effect because their rate is a number."""
    idle = {share for rate, share in SHARES.items() if settings.get(rate, "auto") != "auto"}
    return {name: value for name, value in settings.items() if name not in idle}


def refuse_idle_shares(settings: Mapping[str, Any]) -> None:
    """Refuse a share next to a rate that is a number.

    Raises:
        ValueError: both are given.
    """
    for rate, share in SHARES.items():
        if share in settings and settings.get(rate, "auto") != "auto":
            raise ValueError(
                f"{share} scales {rate}: auto, but {rate} is {settings[rate]}; give {rate} or {share}, not both"
            )
