"""Chart of differences: a row a line, with its mean, its interval, and 0 as a rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import altair as alt

from orchestrator.report.charts.chart import Chart, chart, sized
from orchestrator.report.charts.data import rounded
from orchestrator.report.charts.style import COLORS, INK
from orchestrator.report.frames.summary import Summary, with_spread

WIDEST = 320  # pixels that a name may take
BREAKS = (" (", " − ")  # a name goes on below: settings, and what is subtracted


def differences_chart(
    name: str, title: str, text: str, across: str, rows: Iterable[tuple[str, Summary, bool]]
) -> Chart:
    """Draw differences in points.

    Args:
        name: of the chart's files.
        title: what it shows.
        text: how to read it.
        across: title of the horizontal axis.
        rows: name, difference, and whether its dot is filled.
    """
    records = []
    for line, found, filled in rows:
        record: dict[str, Any] = {"line": line, "label": "\n".join(stacked(line)), "n": found.n, "apart": filled}
        ends = {"gap": found.mean, "low": found.low, "high": found.high}
        record |= {end: shown for end, value in ends.items() if (shown := rounded(value)) is not None}
        records.append(record | {"text": with_spread(found, 2)})
    base, labels = alt.Chart(alt.NamedData(name)), [record["label"] for record in records]
    x = alt.X("gap:Q", title=across, scale=alt.Scale(zero=True, nice=True))
    parts = [label.split("\n") for label in labels]
    room = min(WIDEST, 7 * max((len(part) for each in parts for part in each), default=0))
    axis = alt.Axis(labelLimit=WIDEST, labelExpr=r"split(datum.label, '\n')", minExtent=room)
    y = alt.Y("label:N", title=None, sort=labels, axis=axis)
    fill = alt.Fill("apart:N", legend=None, scale=alt.Scale(domain=[True, False], range=[COLORS[0], "transparent"]))
    told = [alt.Tooltip("line:N", title="Line"), alt.Tooltip("text:N", title="Difference"), alt.Tooltip("n:Q")]
    layers = [
        alt.Chart().mark_rule(color=INK, opacity=0.6).encode(x=alt.XDatum(0)),
        base.mark_rule(color=COLORS[0], strokeWidth=1.5).encode(x=alt.X("low:Q", title=across), x2="high:Q", y=y),
        base.mark_point(size=60, stroke=COLORS[0]).encode(x=x, y=y, fill=fill, tooltip=told),
    ]
    row = 12 + 14 * max(map(len, parts), default=1)
    made = sized(alt.layer(*layers), 40 + row * max(2, len(records)))
    return chart(name, title, text, made, {name: records})


def stacked(name: str) -> list[str]:
    """Split a name into the lines of its label."""
    for at in BREAKS:
        name = name.replace(at, "\n" + at.lstrip())
    return name.split("\n")
