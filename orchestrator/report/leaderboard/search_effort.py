"""How many search trials each line of a leaderboard had in a cell: a comparison is fair only if all had as many."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from orchestrator.report.frames.select import REFERENCES, value_text
from orchestrator.report.frames.summary import NOTHING
from orchestrator.report.leaderboard.ranking import Cell

CELL = ["training", "task_name", "unlearning", "forget_rule"]
MODIFIERS = ["superloss", "lora", "best_epoch"]  # that are searched on their own


@dataclass(frozen=True)
class Effort:
    """Search trials of a line in its cells: all that it had, in one search or several."""

    label: str
    fewest: int
    most: int

    @property
    def text(self) -> str:
        """`16`, `8–16`, or a dash if there was no search."""
        if not self.most:
            return NOTHING
        return str(self.most) if self.fewest == self.most else f"{self.fewest}–{self.most}"


def search_efforts(rows: pd.DataFrame, cells: Sequence[Cell]) -> dict[str, Effort]:
    """Count the search trials of each line, by its variant; empty if the rows have none for any.

    Args:
        rows: all of a results folder, as `select.prepare` returns them.
        cells: of the page.
    """
    searched = rows[rows["stage"] == "tune"]
    if searched.empty:
        return {}
    trials = dict(iter(searched.groupby([*CELL, "method"])))
    counts: dict[str, list[int]] = {}
    labels: dict[str, str] = {}
    for cell in cells:
        own = cell.block.rows
        for variant, runs in own[~own["method"].isin(REFERENCES)].groupby("variant"):
            first = runs.iloc[0]
            found = trials.get(tuple(first[[*CELL, "method"]]))
            labels[str(variant)] = str(first["label"])
            counts.setdefault(str(variant), []).append(0 if found is None else _of_line(found, first))
    efforts = {variant: Effort(labels[variant], min(found), max(found)) for variant, found in counts.items()}
    return efforts if any(effort.most for effort in efforts.values()) else {}


def effort_sentence(efforts: Mapping[str, Effort]) -> str:
    """Say whether every line had as many search trials in every cell, and which had not; empty without searches."""
    if not efforts:
        return ""
    searched = [effort for effort in efforts.values() if effort.most]
    sizes = pd.Series([n for effort in searched for n in (effort.fewest, effort.most)])
    usual = int(sizes.mode().iloc[0])
    others = [f"{e.label} {e.text}" for e in searched if (e.fewest, e.most) != (usual, usual)]
    never = [effort.label for effort in efforts.values() if not effort.most]
    said = f"Search trials of a line in a cell: {usual}" + (" for every line" if not others and not never else "")
    said += f", but not equal for all: {', '.join(others)}" if others else ""
    said += f"; not searched: {', '.join(never)}" if never else ""
    return f"{said}. The first has the line's own settings, and counts."


def _of_line(trials: pd.DataFrame, run: pd.Series) -> int:  # type: ignore[type-arg]
    """Count trials of a method that searched for the line of a run: its modifiers, and the settings that it varies.

    Searches at another budget count if there was none at the line's own: their choices were used.
    """
    varied = dict(part.split(" ", 1) for part in str(run["varied"]).split(", ") if " " in part)
    of_any_budget = {name: value for name, value in varied.items() if name != "budget"}
    own = [
        trial["recipe"]
        for trial in trials[[*MODIFIERS, "recipe"]].to_dict("records")
        if all(bool(trial[name]) == bool(run[name]) for name in MODIFIERS)
    ]
    return sum(_has(recipe, varied) for recipe in own) or sum(_has(recipe, of_any_budget) for recipe in own)


def _has(recipe: str, varied: Mapping[str, str]) -> bool:
    """Return whether a search began with the settings by which a line differs from others of its method."""
    made = json.loads(recipe or "{}")
    settings = dict((made.get("method") or {}).get("settings") or {})
    if budget := made.get("budget"):
        settings["budget"] = f"{budget['fraction']:g} × {budget['unit']}"
    return all(value == value_text(settings[name]) for name, value in varied.items() if name in settings)
