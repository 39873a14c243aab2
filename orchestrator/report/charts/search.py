"""Charts of searches: the best objective so far of each method, and the trials behind it."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from orchestrator.file_names import file_name
from orchestrator.report.charts.chart import Chart, chart, sized
from orchestrator.report.charts.style import COLORS, legend_columns
from orchestrator.report.frames.select import with_modifiers

STAGES = ("study", "tune")
SEARCHED = ["stage", "task", "backbone", "unlearning", "forget_rule"]
SEARCH = ["method", "superloss", "curriculum", "lora", "best_epoch", "study_id"]
MOST_TRIALS = 150  # of a chart that are drawn as dots; of more, only those that were better than all before
DASHES = ([1, 0], [6, 3], [2, 2])  # of the methods after the first ten, which have their colors


def search_charts(rows: pd.DataFrame) -> list[Chart]:
    """Draw a chart for each task, backbone and kind of unlearning with searches: a line for each searched method.

    Args:
        rows: as `select.prepare` returns them.
    """
    tuned = rows[rows["stage"].isin(STAGES)]
    found = []
    for key, part in tuned.groupby(SEARCHED):
        if part["objective"].notna().any():
            found.append(_search(part, *map(str, key)))
    return found


def _search(rows: pd.DataFrame, stage: str, *where: str) -> Chart:
    parts = [name for name in where if name]
    stem = file_name(*parts) if stage == "tune" else file_name(*parts, stage)
    name, all_dots = f"{stem}--search", len(rows) <= MOST_TRIALS
    records: list[dict[str, Any]] = []
    for _, trials in rows.groupby(SEARCH, sort=False):
        records += _records(trials.sort_values("study_trial"), all_dots)
    names = sorted({record["line"] for record in records})
    rule = " or ".join(sorted(set(rows["objective_rule"]) - {""})) or "objective"
    base, picked = alt.Chart(alt.NamedData(name)), alt.selection_point("pick", fields=["line"], bind="legend")
    dim: Any = alt.when(picked).then(alt.value(0.85)).otherwise(alt.value(0.08))
    x = alt.X(
        "trial:Q", title="trial", axis=alt.Axis(format="d", tickMinStep=1), scale=alt.Scale(nice=False, padding=8)
    )
    up = f"{rule} (less is better)"
    colors = [COLORS[place % len(COLORS)] for place in range(len(names))]
    legend = alt.Legend(columns=legend_columns(names), symbolLimit=0)
    color = alt.Color("line:N", scale=alt.Scale(domain=names, range=colors), legend=legend)
    dashes = [DASHES[place // len(COLORS) % len(DASHES)] for place in range(len(names))]
    dash = alt.StrokeDash("line:N", scale=alt.Scale(domain=names, range=dashes), legend=legend)
    told = [alt.Tooltip("line:N", title="Method"), alt.Tooltip("trial:Q"), alt.Tooltip("objective:Q")]
    told += [alt.Tooltip("settings:N", title="Settings")]
    layers = [
        base.transform_filter("datum.best != null")
        .mark_line(interpolate="step-after", strokeWidth=1.6)
        .encode(x=x, y=alt.Y("best:Q", title=up), color=color, opacity=dim, strokeDash=dash),
        base.transform_filter("datum.objective != null")
        .mark_point(filled=True, size=26)
        .encode(
            x=x, y=alt.Y("objective:Q", title=up, scale=alt.Scale(zero=False)), color=color, opacity=dim, tooltip=told
        )
        .properties(name="trials")
        .add_params(picked),
    ]
    lost = int(rows["objective"].isna().sum())
    dots = "trials" if all_dots else "trials that were better than all before"
    text = (
        f"{rows['study_id'].nunique()} searches, {len(rows)} trials, of which {lost} diverged, failed or were pruned. "
        f"Lines are the best so far, dots {dots}; hover for the settings."
    )
    what = "training of originals" if stage == "study" else f"{where[2]} unlearning"
    title = f"Search for {what}" if stage == "study" else f"Search for {what}, {where[1]}"
    return chart(name, title, text, sized(alt.layer(*layers)), {name: records}, where[0])


def _records(trials: pd.DataFrame, all_dots: bool) -> list[dict[str, Any]]:
    """Make a record of each trial that is drawn, and one of the last, where the line ends."""
    first = trials.iloc[0].to_dict()
    line = with_modifiers(str(first["method_label"] or first["method"]), first)
    objective = trials["objective"].to_numpy(dtype=float)
    best = np.fmin.accumulate(objective)
    found = []
    for place, (row, value, so_far) in enumerate(zip(trials.to_dict("records"), objective, best, strict=True)):
        improved = not np.isnan(value) and (place == 0 or np.isnan(best[place - 1]) or value < best[place - 1])
        record: dict[str, Any] = {"line": line, "trial": int(row["study_trial"])}
        record |= {"best": round(float(so_far), 6)} if not np.isnan(so_far) else {}
        if not np.isnan(value) and (all_dots or improved):
            record |= {"objective": round(float(value), 6), "settings": settings_text(row)}
        if all_dots or improved or place == len(trials) - 1:
            found.append(record)
    return found


def settings_text(row: Mapping[Hashable, Any]) -> str:
    """Write a trial's settings in one line: `epochs 3, learning_rate 0.0001`."""
    found = json.loads(row["settings"] or "{}")
    parts = (f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in found.items())
    return ", ".join(parts)
