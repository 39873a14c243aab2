"""Equal searches: refuse one that would give a line more trials than the others of its cell."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from orchestrator.plan.spec import TrialSpec
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
    earlier = _earlier(searches, rows)
    cells: dict[Key, dict[str, int]] = {}
    for study_id, study in searches.studies.items():
        spec, given = study.trials[0], searches.given[study_id]
        cell, line = _cell(spec), _line(spec, given)
        cells.setdefault(cell, {})[_label(spec, given)] = len(study.trials) + earlier[(*cell, *line)]
    for (task, *_, kind, _share), counts in cells.items():
        usual = min(counts.values())
        if more := {label: count for label, count in counts.items() if count > usual}:
            shown = ", ".join(f"{label} {count}" for label, count in list(more.items())[:SHOWN])
            raise SweepError(
                f"every line must have as many search trials: for {kind} on {task}, {shown} would have more than "
                f"{usual}, because this results folder has an earlier search of it with another space; use a new "
                "results folder, or the earlier space"
            )


def _earlier(searches: Searches, rows: pd.DataFrame) -> Counter[Key]:
    """Count the trials of searches that are not to run, by cell and line."""
    found: Counter[Key] = Counter()
    named: dict[str, set[str]] = {}  # by method: settings that distinguish its variants
    for study_id, study in searches.studies.items():
        named.setdefault(study.trials[0].method.name, set()).update(searches.given[study_id])
    old = rows[(rows["stage"] == "tune") & ~rows["study_id"].isin(list(searches.studies))]
    for row in old.to_dict("records"):
        share = row.get("known_share")
        known = None if share is None or pd.isna(share) else float(share)
        settings = json.loads(row["recipe"] or "{}").get("method", {}).get("settings", {})
        own = {name: settings.get(name) for name in named.get(str(row["method"]), ())}
        cell = (row["task"], row["backbone"], row["training"] or "standard", row["unlearning"], known)
        found[(*cell, *_of(row, own), row["budget_fraction"])] += 1
    return found


def _of(row: Mapping[Hashable, Any], given: Mapping[str, Any]) -> Key:
    """Return the method with its modifiers; those of a row are text, empty or null where one is off."""
    applied = (isinstance(row[name], str | Mapping) and bool(row[name]) for name in MODIFIERS)
    return row["method"], *applied, json.dumps(given, sort_keys=True)


def _cell(spec: TrialSpec) -> Key:
    known = spec.request.get("known_share")
    return spec.task.title, spec.backbone.title, spec.training_title, spec.request["kind"], known


def _line(spec: TrialSpec, given: Mapping[str, Any]) -> Key:
    own: dict[Hashable, Any] = {"method": spec.method.name, **{name: getattr(spec, name) for name in MODIFIERS}}
    return *_of(own, given), (spec.budget or {}).get("fraction")


def _label(spec: TrialSpec, given: Mapping[str, Any]) -> str:
    parts = [spec.method.name, *(name for name in MODIFIERS if getattr(spec, name))]
    budget = f"budget {(spec.budget or {}).get('fraction', 0):g}"
    return " + ".join(parts) + f" ({', '.join([*(f'{k} {v}' for k, v in given.items()), budget])})"
