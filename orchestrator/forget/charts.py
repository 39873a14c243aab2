"""Charts of a removal report as static SVG: what the original and the child know of the recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ORIGINAL, CHILD, LIMIT = "#d97706", "#0d9488", "#8b93a1"


def comparison_chart(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return an SVG of the measures with their intervals, one line a comparison; empty if there is nothing to show."""
    shown = [row for row in rows if row["original"] is not None and row["child"] is not None]
    if not shown:
        return ""
    import altair as alt
    import pandas as pd
    import vl_convert

    points = [
        {"measure": row["name"], "model": model, "value": row[key], "low": row[interval][0], "high": row[interval][1]}
        for row in shown
        for model, key, interval in (
            ("Original", "original", "original_interval"),
            ("After removal", "child", "child_interval"),
        )
    ]
    order = ["Original", "After removal"]
    base = alt.Chart(pd.DataFrame(points)).encode(
        y=alt.Y("measure:N", title=None, sort=[row["name"] for row in shown], axis=alt.Axis(labelLimit=420)),
        yOffset=alt.YOffset("model:N", sort=order),
        color=alt.Color("model:N", sort=order, scale=alt.Scale(domain=order, range=[ORIGINAL, CHILD]), title=None),
    )
    scale = alt.Scale(zero=False, nice=True)
    spans = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title="Measure", scale=scale), x2="high:Q")
    dots = base.mark_point(filled=True, size=70).encode(x="value:Q")
    limits = pd.DataFrame([{"measure": row["name"], "value": row["limit"]} for row in shown])
    ticks = (
        alt.Chart(limits)
        .mark_tick(color=LIMIT, thickness=3, size=34)
        .encode(x="value:Q", y=alt.Y("measure:N", sort=[row["name"] for row in shown]))
    )
    chart = (
        (spans + dots + ticks)
        .configure_axis(gridOpacity=0.3)
        .properties(width=430, height=alt.Step(22), background="transparent")
    )
    svg: str = vl_convert.vegalite_to_svg(chart.to_json())
    return svg
