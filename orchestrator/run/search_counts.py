"""Equal searches: refuse one that would give a line more trials than the others of its cell."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from orchestrator.forgetting.requests import size_of
from orchestrator.plan.spec import TrialSpec, canonical
from orchestrator.plan.sweep_schema import SweepError
from orchestrator.run.searches import Searches

Key = tuple[Any, ...]
MODIFIERS = ("superloss", "lora", "best_epoch")  # that are searched on their own
SHOWN = 5  # lines in an error


def require_equal_counts(searches: Searches, rows: pd.DataFrame) -> None:
    """Check that all lines of a cell have as many trials, those of earlier searches of the same line included.

    A results folder keeps what was searched with another space. A line that is searched twice has chosen from more
    trials than the others.

    Args:
        searches: what is to run.
        rows: of the results folder.

    Raises:
        SweepError: they have not.
    """
    old = rows[(rows["stage"] == "tune") & ~rows["study_id"].isin(list(searches.studies))]
    earlier = Counter(_key_of_row(row) for row in old.to_dict("records"))
    cells: dict[Key, dict[str, int]] = {}
    for study_id, study in searches.studies.items():
        spec = study.trials[0]
        cell, line = _cell(spec), _line(spec)
        label = _label(spec, searches.given[study_id])
        cells.setdefault(cell, {})[label] = len(study.trials) + earlier[(*cell, *line)]
    for (task, *_, kind, _share, _size), counts in cells.items():
        usual = min(counts.values())
        if more := {label: count for label, count in counts.items() if count > usual}:
            shown = ", ".join(f"{label} {count}" for label, count in list(more.items())[:SHOWN])
            raise SweepError(
                f"every line must have as many search trials: for {kind} on {task}, {shown} would have more than "
                f"{usual}, because this results folder has an earlier search of it with another space; use a new "
                "results folder, or the earlier space"
            )


def _key_of_row(row: Mapping[Hashable, Any]) -> Key:
    """Return cell and line of a search's trial: its method, the settings that it began with, modifiers and budget."""
    share = row.get("known_share")
    known = None if share is None or pd.isna(share) else float(share)
    recipe = json.loads(row["recipe"] or "{}")
    settings, forget = recipe.get("method", {}).get("settings", {}), recipe.get("forget") or {}
    applied = (isinstance(row[name], str) and bool(row[name]) for name in MODIFIERS)  # null in older rows
    cell = (row["task"], row["backbone"], row["training"] or "standard", row["unlearning"], known)
    size = canonical(size_of(forget.get("settings", {})))
    return *cell, size, row["method"], canonical(settings), *applied, row["budget_fraction"]


def _cell(spec: TrialSpec) -> Key:
    known = spec.request.get("known_share")
    size = canonical(size_of(spec.request))
    return spec.task.title, spec.backbone.title, spec.training_title, spec.request["kind"], known, size


def _line(spec: TrialSpec) -> Key:
    applied = (bool(getattr(spec, name)) for name in MODIFIERS)
    return spec.method.name, canonical(dict(spec.method.identity)), *applied, (spec.budget or {}).get("fraction")


def _label(spec: TrialSpec, given: Mapping[str, Any]) -> str:
    parts = [spec.method.name, *(name for name in MODIFIERS if getattr(spec, name))]
    budget = f"budget {(spec.budget or {}).get('fraction', 0):g}"
    return " + ".join(parts) + f" ({', '.join([*(f'{k} {v}' for k, v in given.items()), budget])})"
