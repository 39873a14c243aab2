"""Chart of small panels, a row a cell and a column a measure: a mark and an interval a method, Retrain's as a rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from orchestrator.report.charts.chart import Chart, Records, chart
from orchestrator.report.charts.data import rounded
from orchestrator.report.charts.style import COLORS, INK
from orchestrator.report.frames.summary import Summary, with_spread

WIDTH, STEP = 200, 17  # of a panel, and of a line in it, in pixels
ROLES = {"method": COLORS[0], "original": COLORS[1], "retrain": INK}
"""Colors of methods, and of the two references by their names."""


def method_record(
    row: str, column: str, line: str, method: str, found: Summary, scale: float, most: float
) -> dict[str, Any]:
    """Make the record of one mark; `found` has a mean, and its interval is cut at 0 and `most`, after scaling."""
    ends = {"x": found.mean, "low": found.low, "high": found.high}
    shown = {n: min(max(0.0, value), most) for n, end in ends.items() if (value := rounded(end * scale)) is not None}
    role = method if method in ROLES else "method"
    about = {"row": row, "column": column, "line": line, "role": role, "n": found.n}
    return about | {"text": with_spread(found, 3 if scale == 1 else 1, scale)} | shown


def by_method_chart(name: str, title: str, text: str, records: Records, lines: Sequence[str]) -> Chart:
    """Draw records of `method_record`: rows and columns in their order, in each panel the lines from top to bottom."""
    rows, columns = (list(dict.fromkeys(record[key] for record in records)) for key in ("row", "column"))
    base = alt.Chart()
    y: Any = alt.Y(
        "line:N",
        title=None,
        sort=list(lines),
        axis=alt.Axis(labelLimit=180, grid=False, minExtent=7 * max(map(len, lines), default=0)),
    )
    x = alt.X("x:Q", title=None, scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(tickCount=4, labelOverlap=True))
    color = alt.Color("role:N", legend=None, scale=alt.Scale(domain=list(ROLES), range=list(ROLES.values())))
    told = [alt.Tooltip("line:N", title="Method"), alt.Tooltip("text:N", title="Mean"), alt.Tooltip("n:Q")]
    target = base.transform_filter(alt.datum.role == "retrain")
    layers = [
        target.mark_rule(strokeDash=[4, 3], color=INK, opacity=0.6).encode(x=x),
        base.mark_rule(strokeWidth=1.6, opacity=0.75).encode(
            x=alt.X("low:Q", title=None), x2="high:Q", y=y, color=color
        ),
        base.mark_point(size=42, filled=True, opacity=1).encode(x=x, y=y, color=color, tooltip=told),
    ]
    made = alt.layer(*layers, data=alt.NamedData(name)).properties(width=WIDTH, height=STEP * max(2, len(lines)))
    above = alt.Header(title=None, labelLimit=WIDTH + 40)
    at_side = alt.Header(
        title=None, labelOrient="top", labelAnchor="start", labelFontWeight="bold", labelLimit=2 * WIDTH
    )
    made = made.facet(
        row=alt.Row("row:N", sort=rows, header=at_side), column=alt.Column("column:N", sort=columns, header=above)
    ).resolve_scale(x="independent")
    return chart(name, title, text, made, {name: records})
