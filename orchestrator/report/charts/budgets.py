"""The gap to Retrain over the budget, a line for each method."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from orchestrator.report.charts.chart import Chart, chart, sized
from orchestrator.report.charts.style import COLORS, DASHES, SHAPES, Mark, line_and_points


def budget_chart(gaps: pd.DataFrame, unit: str) -> Chart:
    """Draw mean gaps at each budget of one unit.

    Args:
        gaps: with `line`, `fraction` and `gap` (a `Summary`), the line to be named first on top.
        unit: of the budgets, samples or seconds.
    """
    names = list(dict.fromkeys(gaps["line"]))
    styles = {
        name: Mark(COLORS[n % len(COLORS)], SHAPES[n % len(SHAPES)], True, DASHES["method" if n < 10 else "superloss"])
        for n, name in enumerate(names)
    }
    records = [_record(one) for one in gaps.to_dict("records") if one["gap"].n]
    fractions = sorted(gaps["fraction"].unique().tolist())
    x = alt.X(
        "fraction:Q",
        title=f"budget (share of Retrain's {unit})",
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(values=fractions, grid=False),
    )
    y = alt.Y("gap:Q", title="gap to Retrain (points)", scale=alt.Scale(zero=True))
    told = [alt.Tooltip("line:N", title="Method"), *(alt.Tooltip(f"{field}:Q") for field in ("fraction", "gap", "n"))]
    name = f"gap-by-budget-{unit}"
    layers = line_and_points(alt.Chart(alt.NamedData(name)), x, y, styles, told)
    text = "Mean over all cells within a seed, then over seeds; the table below has intervals."
    return chart(name, f"Gap by budget, in {unit}", text, sized(alt.layer(*layers)), {name: records})


def _record(one: dict[Any, Any]) -> dict[str, Any]:
    gap = one["gap"]
    return {"line": one["line"], "fraction": one["fraction"], "gap": round(gap.mean, 3), "n": gap.n, "role": "method"}
