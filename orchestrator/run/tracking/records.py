"""What a tracker gets of a trial: a name, settings, the points of its curve, and its final measures; plain values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from orchestrator.plan.spec import TrialSpec
from orchestrator.results.curves import PARTS
from orchestrator.results.schema import ATTACKS, COLUMNS, COST, INTEGER, MEASURES, NUMBER, SIZES
from orchestrator.run.progress.text import describe

Record = dict[str, Any]

SETTINGS = ("trial_id", "sweep", "stage", "task", "backbone", "method", "training", "unlearning", "seed")
"""Columns of a row that a tracker gets as settings, next to those of the method."""

FINAL = tuple(
    column.name
    for column in COLUMNS
    if column.type in (NUMBER, INTEGER)
    and (column.topic in (MEASURES, ATTACKS, COST, SIZES) or column.name == "objective")
)
CURVE = (
    *(f"{part}_{what}" for part in PARTS for what in ("accuracy", "loss")),
    "training_loss",
    "seconds",
    "samples",
    "budget_used",
)


def begin(spec: TrialSpec, group: str) -> Record:
    """Return the record of a trial that starts; `group` is the name of the launch's sweep."""
    where = spec.task.title, spec.backbone.title
    settings = {
        "trial_id": spec.trial_id,
        "sweep": spec.sweep,
        "stage": spec.stage,
        "task": spec.task.title,
        "backbone": spec.backbone.title,
        "method": spec.method_name,
        "training": spec.training_title,
        "unlearning": spec.request.get("kind", "none"),
        "seed": spec.seed,
    }
    return {
        "event": "begin",
        "trial_id": spec.trial_id,
        "name": f"{describe(spec).removeprefix(f'{where[0]} {where[1]} ')} ({', '.join(where)})",  # lists cut names
        "group": group,
        "settings": settings,
    }


def progress(trial_id: str) -> Record:
    """Return the record of a trial that may have a longer curve by now."""
    return {"event": "progress", "trial_id": trial_id}


def end(row: Mapping[str, Any]) -> Record:
    """Return the record of a trial that ended with a row."""
    return {
        "event": "end",
        "trial_id": row["trial_id"],
        "status": row["status"],
        "settings": {
            f"settings.{name}": value for name, value in _flat(json.loads(row.get("settings") or "{}")).items()
        },
        "measures": numbers(row, FINAL),
    }


def left(trial_id: str) -> Record:
    """Return the record of a trial that left no row and waits again."""
    return {"event": "left", "trial_id": trial_id}


def curve_values(point: Mapping[str, Any]) -> dict[str, float]:
    """Return what a tracker gets of a point of a curve."""
    return numbers(point, CURVE)


def numbers(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, float]:
    """Return those of the named values that are finite numbers."""
    found = {name: values.get(name) for name in names}
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}


def _flat(settings: Mapping[str, Any], before: str = "") -> dict[str, str | float | int | bool]:
    """Return nested settings as one mapping, with dots between the names."""
    found: dict[str, str | float | int | bool] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = value if isinstance(value, str | float | int | bool) else json.dumps(value)
    return found
