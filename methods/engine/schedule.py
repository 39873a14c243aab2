"""Learning-rate schedules: linear warm-up, then constant, linear decay to 0, or a fall from epoch to epoch."""

from __future__ import annotations

import math
from typing import Literal

RateSchedule = Literal["constant", "falling"]
"""Of a method's epochs; `falling` multiplies the rate of epoch e of E, from 0, by 1 − e/E."""


def epoch_factor(schedule: str, epoch: int, epochs: int) -> float:
    """Return the factor of the rate in epoch `epoch` (from 0) of `epochs`."""
    return 1 - epoch / epochs if schedule == "falling" else 1.0


def learning_rate_factor(
    step: int, steps: int, schedule: str, warmup_share: float, epoch: int = 0, epochs: int = 1
) -> float:
    """Return the factor at `step` (from 0) of `steps`, in `epoch` of `epochs`: linear warm-up, then the schedule."""
    warmup = math.ceil(warmup_share * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "linear":
        return max(0.0, (steps - step) / max(1, steps - warmup))
    return epoch_factor(schedule, epoch, epochs)
