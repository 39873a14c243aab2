"""Rules for the settings of a method: their bounds, and those that were added later and leave older ids unchanged."""

from __future__ import annotations

from dataclasses import field, fields
from typing import Any, get_args

from methods.engine.schedule import RateSchedule

LATER = "added_later"  # in a field's metadata
LEAST = {"epochs": 0, "max_epochs": 0, "batch_size": 1, "forget_batch_size": 1, "retain_weight": 0}
ABOVE_ZERO = ("learning_rate", "repair_learning_rate", "rate_share", "repair_rate_share", "temperature")
CHOICES: dict[str, tuple[str, ...]] = {
    "rate_schedule": get_args(RateSchedule),
    "retain_drawn": ("once", "each_epoch"),
    "divergence": ("from_teacher", "from_student"),
    "teacher_encoder": ("pretrained", "original"),
    "validation_rule": ("random", "easiest", "hardest"),
}


def added_later(default: Any) -> Any:
    """Return a dataclass field that is left out of a plug-in's recipe while it has its default.

    So a setting can be added to a method or a modifier without changing the ids of trials that ran before.
    """
    return field(default=default, metadata={LATER: True})


def recipe_settings(plugin: Any) -> dict[str, Any]:
    """Return the settings of a dataclass by name, without those that were added later and have their default."""
    return {
        f.name: getattr(plugin, f.name)
        for f in fields(plugin)
        if not (f.metadata.get(LATER) and getattr(plugin, f.name) == f.default)
    }


def check_settings(method: Any) -> None:
    """Check the settings whose bounds are the same in every method.

    Raises:
        ValueError: a setting is out of range.
    """
    for f in fields(method):
        value = getattr(method, f.name)
        if value is None:
            continue  # left to the method, or to the methods that it runs
        if f.name in LEAST and value < LEAST[f.name]:
            raise ValueError(f"{f.name} must be {LEAST[f.name]} or more, got {value}")
        if f.name in ABOVE_ZERO and value != "auto" and value <= 0:
            raise ValueError(f"{f.name} must be above 0, got {value}")
        if f.name in CHOICES and value not in CHOICES[f.name]:
            raise ValueError(f"{f.name} must be {' or '.join(CHOICES[f.name])}, got {value!r}")
        if f.metadata.get(LATER) and f.name in ("retain_share", "validation_share") and not 0 < value <= 1:
            raise ValueError(f"{f.name} must be in (0, 1], got {value}")
