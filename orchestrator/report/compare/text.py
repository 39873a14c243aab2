"""A comparison as rows of plain text, for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from orchestrator.report.compare.differences import Comparison, Difference, Figure, is_changed
from orchestrator.report.frames.select import with_modifiers
from orchestrator.report.frames.summary import NOTHING, with_spread

LISTED = 100  # trials of one source


@dataclass(frozen=True)
class Grid:
    """A table of text; rows in `marked` differ statistically."""

    title: str
    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[int] = frozenset()
    note: str = ""


def grids(found: Comparison) -> list[Grid]:
    """Write settings, figures and trials; a part in which nothing differs is left out."""
    return [grid for grid in (_settings(found), _figures(found), *_only(found)) if grid.rows]


def sentences(found: Comparison) -> list[str]:
    """Say in three sentences what differs."""
    changed = sum(map(is_changed, found.figures))
    apart = sum(one is not None and one.apart for figure in found.figures for one in figure.differences)
    names = [source.name for source in found.sources]
    only = ", ".join(f"{len(rows)} only in {name}" for name, rows in zip(names, found.only, strict=True))
    settings = "No setting differs" if not found.settings else f"{len(found.settings)} settings differ"
    figures = f"{changed} of {len(found.figures)} figures differ or are missing in one; {apart} differences are"
    return [
        f"{found.shared} trials are in all of {', '.join(names)}; {only}.",
        f"{settings} in lines and sweeps that all have.",
        f"{figures} statistically distinguishable at 95 % (paired by seed and backbone, Holm over all of a measure).",
    ]


def _settings(found: Comparison) -> Grid:
    titles = ("Where", "Setting", *(source.name for source in found.sources))
    rows = tuple((one.where, one.name, *one.values) for one in found.settings)
    return Grid("Settings that differ", titles, rows)


def _figures(found: Comparison) -> Grid:
    first, *others = (source.name for source in found.sources)
    pairs = (title for name in others for title in (name, f"{name} − {first}"))
    titles = ("Task", "Block", "Line", "Measure", first, *pairs)
    shown = [figure for figure in found.figures if is_changed(figure)]
    marked = {
        place for place, figure in enumerate(shown) if any(one is not None and one.apart for one in figure.differences)
    }
    note = (
        "Means over the seeds of each source; differences over the seeds and backbones that both have, with the 95 % "
        "interval and p after Holm's correction from 3 pairs on. Figures that are equal are left out."
    )
    return Grid("Figures that differ", titles, tuple(map(_figure, shown)), frozenset(marked), note)


def _figure(figure: Figure) -> tuple[str, ...]:
    unit = {"points": "points", "%": "%"}.get(figure.measure.unit, figure.measure.unit)
    title = f"{figure.measure.title.partition(' (')[0]} ({unit})"
    values = [NOTHING if one is None else with_spread(one, figure.measure.digits) for one in figure.values]
    cells = [values[0]]
    for value, one in zip(values[1:], figure.differences, strict=True):
        cells += [value, _difference(one, figure.measure.digits)]
    return (figure.task, figure.block, figure.line, title, *cells)


def _difference(one: Difference | None, digits: int) -> str:
    if one is None:
        return NOTHING
    text = f"{one.found.mean:+.{digits}f}"
    if np.isnan(one.found.low):
        return f"{text} (n = {one.found.n})"
    low, high = (f"{end:+.{digits}f}" for end in (one.found.low, one.found.high))
    return f"{text} [{low}, {high}], p = {one.adjusted:.2g}"


def _only(found: Comparison) -> list[Grid]:
    titles = ("Trial", "Stage", "Method", "Task", "Backbone", "Unlearning", "Seed", "Status")
    grids = []
    for source, rows in zip(found.sources, found.only, strict=True):
        more = len(rows) - LISTED
        note = f"{more} more are only there." if more > 0 else ""
        grids.append(Grid(f"Trials only in {source.name}", titles, tuple(_trials(rows)), note=note))
    return grids


def _trials(rows: pd.DataFrame) -> Sequence[tuple[str, ...]]:
    ordered = rows.sort_values(["stage", "task", "backbone", "method", "seed", "trial_id"]).head(LISTED)
    return [
        (
            str(row["trial_id"]),
            str(row["stage"]),
            with_modifiers(str(row["method_label"] or row["method"]), row),
            str(row["task"]),
            str(row["backbone"]),
            str(row["unlearning"]),
            str(row["seed"]),
            str(row["status"]),
        )
        for row in ordered.to_dict("records")
    ]
