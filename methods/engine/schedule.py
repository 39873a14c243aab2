"""Learning-rate schedules: linear warm-up, then constant or linear decay to 0."""

from __future__ import annotations

import math


def learning_rate_factor(step: int, steps: int, schedule: str, warmup_share: float) -> float:
    """Return the factor at `step` (from 0) of `steps`: linear warm-up, then constant or linear to 0."""
    warmup = math.ceil(warmup_share * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 1.0 if schedule == "constant" else max(0.0, (steps - step) / max(1, steps - warmup))
