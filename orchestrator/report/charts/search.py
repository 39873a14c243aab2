"""Charts of searches: the objective of every trial, and the best so far."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from orchestrator.file_names import file_name
from orchestrator.report.charts.chart import Chart, chart, sized
from orchestrator.report.charts.style import COLORS, INK
from orchestrator.report.frames.select import with_modifiers

STAGES = ("study", "tune")
SEARCHED = ["task", "backbone", "unlearning", "forget_rule"]
MOST_TRIALS = 200  # drawn as dots; the best so far is drawn of all


def search_charts(rows: pd.DataFrame) -> list[Chart]:
    """Draw a chart for each search: trials as dots, the best so far as a line; those without an objective below.

    Args:
        rows: as `select.prepare` returns them.
    """
    found = []
    tuned = rows[rows["stage"].isin(STAGES)]
    for key, part in tuned.groupby([*SEARCHED, "method", "superloss", "study_id"]):
        if part["objective"].notna().any():
            found.append(_search(part.sort_values("study_trial"), [str(name) for name in key[:4] if name]))
    taken: dict[str, int] = {}
    named = []
    for one in found:
        nth = taken[one.name] = taken.get(one.name, 0) + 1
        named.append(one if nth == 1 else _renamed(one, f"{one.name}-{nth}"))
    return named


def _search(trials: pd.DataFrame, where: list[str]) -> Chart:
    first = trials.iloc[0].to_dict()
    what = with_modifiers(str(first["method_label"] or first["method"]), first)
    name = f"{file_name(*where, str(first['method']))}--search"
    objective = trials["objective"].to_numpy(dtype=float)
    best = np.fmin.accumulate(objective)
    records: list[dict[str, Any]] = []
    for row, value, so_far in zip(trials.to_dict("records"), objective, best, strict=True):
        record: dict[str, Any] = {"trial": int(row["study_trial"]), "status": row["status"]}
        record |= {} if np.isnan(value) else {"objective": round(float(value), 6)}
        record |= {} if np.isnan(so_far) else {"best": round(float(so_far), 6)}
        records.append(record | {"settings": settings_text(row)})
    rule = " or ".join(sorted(set(trials["objective_rule"]) - {""})) or "objective"
    base = alt.Chart(alt.NamedData(name))
    x = alt.X(
        "trial:Q", title="trial", axis=alt.Axis(format="d", tickMinStep=1), scale=alt.Scale(nice=False, padding=10)
    )
    up = f"{rule} (less is better)"
    y = alt.Y("objective:Q", title=up, scale=alt.Scale(zero=False))
    told = [alt.Tooltip("trial:Q"), alt.Tooltip("objective:Q"), alt.Tooltip("status:N"), alt.Tooltip("settings:N")]
    lost = base.transform_filter("datum.objective == null")
    layers = [
        base.transform_filter("datum.best != null")
        .mark_line(interpolate="step-after", color=INK, strokeWidth=1.5)
        .encode(x=x, y=alt.Y("best:Q", title=up)),
        base.mark_point(filled=True, size=46, color=COLORS[0], opacity=0.7).encode(x=x, y=y, tooltip=told),
        lost.mark_point(shape="cross", size=40, angle=45, color=INK, opacity=0.7).encode(
            x=x, y=alt.value(0), tooltip=told
        ),
    ]
    stage = "training of originals" if first["stage"] == "study" else f"{first['unlearning']} unlearning"
    text = (
        f"{', '.join(where)}: search for {stage}, {len(trials)} trials. Dots are trials, the line the best so far; "
        "crosses on the upper edge diverged, failed or were pruned."
    )
    return chart(name, f"Search: {what}", text, sized(alt.layer(*layers), 240), {name: records})


def settings_text(row: Mapping[Hashable, Any]) -> str:
    """Write a trial's settings in one line: `epochs 3, learning_rate 0.0001`."""
    found = json.loads(row["settings"] or "{}")
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in found.items()
    )


def _renamed(one: Chart, name: str) -> Chart:
    spec = json.loads(json.dumps(one.spec).replace(json.dumps(one.name), json.dumps(name)))
    return Chart(name, one.title, one.text, spec, {name: one.datasets[one.name]})
