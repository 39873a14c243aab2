"""The command that repeats one trial: its sweep, reduced to the entries that the trial consists of."""

from __future__ import annotations

import json
import shlex
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from orchestrator.results.sweep_records import SweepRecord

Row = Mapping[Hashable, Any]
ELSEWHERE = "results/repeated"


def repeat_command(row: Row, records: Iterable[SweepRecord]) -> str:
    """Return a command that runs a trial again in another folder, with what it depends on; empty if no plan has it.

    A trial of a search is repeated by repeating the search: its settings depend on the trials before it.
    """
    record = next((one for one in records if row["trial_id"] in one.trials), None)
    if record is None:
        return ""
    if record.is_search:
        name = f"{record.name.removesuffix('.tune')}.yaml"
        return shlex.join(["unlearn", "tune", name, "--results", ELSEWHERE])
    words = ["unlearn", "run", f"{record.name}.yaml", "--results", ELSEWHERE]
    for key, kept in _reduced(row, record.values).items():
        words += ["--set", f"{key}={json.dumps(kept, ensure_ascii=False)}"]
    return shlex.join(words)


def _reduced(row: Row, values: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the entries of each list that the trial is made of; a list in which none can be told is left whole."""
    found: dict[str, Any] = {"seeds": [int(row["seed"])]}
    for key, name in (("tasks", row["task_name"]), ("backbones", row["backbone"])):
        found[key] = [entry for entry in values.get(key, ()) if name in _names(entry)]
    if row["unlearning"] not in ("", "none") and not values.get("sequences") and not row["requests_before"]:
        found["unlearning"] = [_scenario(entry, row) for entry in values.get("unlearning", ()) if _is_of(entry, row)]
    if row["stage"] == "unlearn":
        found["methods"] = [entry for entry in values.get("methods", ()) if row["method"] in _names(entry)]
    return {key: kept for key, kept in found.items() if kept and kept != values.get(key)}


def _names(entry: Any) -> tuple[str, ...]:
    if not isinstance(entry, Mapping):
        return (str(entry),)
    return tuple(str(entry[key]) for key in ("as", "name") if key in entry)[:1]


def _is_of(entry: Any, row: Row) -> bool:
    return isinstance(entry, Mapping) and entry.get("kind") == row["unlearning"]


def _scenario(entry: Mapping[str, Any], row: Row) -> dict[str, Any]:
    """Reduce a list of ratios to the trial's own."""
    ratios, own = entry.get("forget_ratio"), row["requested_forget_ratio"]
    return {**entry, "forget_ratio": own} if isinstance(ratios, list) and own in ratios else dict(entry)
