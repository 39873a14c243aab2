"""The gap to Retrain at each budget, for methods that ran with several: a table, a chart, and who could not finish."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from orchestrator.file_names import file_name
from orchestrator.report.charts.panels import Axes, panel_record, panels_chart
from orchestrator.report.frames.select import REFERENCES, label_of
from orchestrator.report.frames.summary import NOTHING, with_spread
from orchestrator.report.leaderboard.pieces import Piece
from orchestrator.report.leaderboard.ranking import Cell, over_cells
from orchestrator.report.tables.columns import GAP
from orchestrator.report.tables.markdown import escape, grid_markdown

ABOUT = (
    "Gap to Retrain in points at each share of Retrain's cost: mean over the cells in which a line has all of its "
    "budgets, then over seeds, ± as in All cells. A dagger: in some runs the budget ended before one epoch of a pass."
)


def gaps_by_budget(cells: Sequence[Cell]) -> pd.DataFrame:
    """Return a row for each line and budget: `line`, `unit`, `fraction`, `gap` (a `Summary` over the cells in which the
    line has all of its budgets), `cells` (how many), `cut` (runs without an epoch), and `runs`.

    Empty if no line has several budgets. A line is a method with its modifiers and other settings that differ.
    """
    rows = pd.concat([cell.block.rows.assign(cell=place) for place, cell in enumerate(cells)], ignore_index=True)
    own = rows[~rows["method"].isin(REFERENCES) & rows["budget_fraction"].notna()]
    lines: dict[tuple[str, str], list[tuple[float, str, pd.DataFrame]]] = {}
    for variant, runs in own.groupby("variant", sort=False):
        first = runs.iloc[0]
        parts = first["varied"].split(", ")
        if not any(part.startswith("budget ") for part in parts):
            continue  # it has one budget
        others = ", ".join(part for part in parts if not part.startswith("budget "))
        name = label_of(first["method_label"] or first["method"], first["modifiers"], others)
        unit = "samples" if runs["budget_samples"].notna().any() else "seconds"
        lines.setdefault((name, unit), []).append((float(first["budget_fraction"]), str(variant), runs))
    found = []
    for (name, unit), several in lines.items():
        if len({fraction for fraction, _, _ in several}) < 2:
            continue
        there = set.intersection(*(set(runs["cell"]) for _, _, runs in several))
        for fraction, variant, every in several:
            runs = every[every["cell"].isin(there)]
            cut = int(((runs["stop_reason"] == "budget") & (runs["epochs_ended"] == 0)).sum())
            gap = over_cells([cells[place] for place in sorted(there)], variant, GAP.column)
            one = {"line": name, "unit": unit, "fraction": fraction, "gap": gap, "cells": len(there)}
            found.append({**one, "cut": cut, "runs": len(runs)})
    made = pd.DataFrame(found, columns=["line", "unit", "fraction", "gap", "cells", "cut", "runs"])
    return made.sort_values("fraction", kind="stable", ignore_index=True)


def budgets_pieces(cells: Sequence[Cell]) -> list[Piece]:
    """Write a table of `gaps_by_budget` for each unit, the smallest gap at the largest budget first, and a chart."""
    found, parts = gaps_by_budget(cells), list[Piece]()
    for unit, own in found.groupby("unit"):
        fractions = sorted(own["fraction"].unique())
        texts = {
            (one["line"], one["fraction"]): with_spread(one["gap"]) + ("†" if one["cut"] else "")
            for one in own.to_dict("records")
        }
        at_most = own[own["fraction"] == fractions[-1]]
        order = sorted(own["line"].unique(), key=lambda name: _mean(at_most, name))
        sizes = dict(zip(own["line"], own["cells"], strict=True))
        grid = [
            [escape(name), str(sizes[name]), *(escape(texts.get((name, f), NOTHING)) for f in fractions)]
            for name in order
        ]
        titles = ["Method", "Cells", *(f"{fraction:g} × Retrain" for fraction in fractions)]
        parts += [f"## Gap by budget, in {unit}", "", grid_markdown(titles, grid), "", escape(ABOUT), ""]
        parts += [escape(_cut_sentence(own)), ""]
        parts += _chart(str(unit), own, order, fractions)
    return parts


def _cut_sentence(own: pd.DataFrame) -> str:
    """Say at which budget which methods could not finish one epoch of a pass."""
    said = []
    for fraction, at in own.groupby("fraction"):
        cut = [f"{one['line']} ({one['cut']} of {one['runs']} runs)" for one in at.to_dict("records") if one["cut"]]
        said += [f"at {fraction:g} × Retrain {', '.join(cut)}"] if cut else []
    if not said:
        return "Every run finished at least one epoch of a pass at every budget."
    return f"Could not finish one epoch of a pass: {'; '.join(said)}."


def _chart(unit: str, own: pd.DataFrame, order: Sequence[str], fractions: Sequence[float]) -> list[Piece]:
    records = [
        panel_record(name, "method", float(one["fraction"]), one["gap"])
        for name in order
        for one in own[own["line"] == name].to_dict("records")
        if one["gap"].n
    ]
    if not records:
        return []
    text = (
        f"Mean over cells, then seeds (n up to {max(record['n'] for record in records)}); bars: 95 % t-interval over "
        "seeds, range of two, cut at the frame."
    )
    axes = Axes("budget (× Retrain's)", "gap (points)", fractions, logarithmic=True, roots=True)
    return [panels_chart(file_name("budgets", unit), f"Gap by budget, in {unit}", text, records, axes)]


def _mean(own: pd.DataFrame, name: str) -> float:
    """Return the mean gap of a line; infinity if it has none."""
    means = [gap.mean for gap in own.loc[own["line"] == name, "gap"] if gap.n]
    return float(means[0]) if means else float("inf")
