"""Chart of one small panel a method: a measure over a number, with intervals that do not hide each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from orchestrator.report.charts.chart import Chart, Records, chart
from orchestrator.report.charts.data import rounded
from orchestrator.report.charts.style import COLORS, INK
from orchestrator.report.frames.summary import Summary, with_spread

COLUMNS, WIDTH, HEIGHT = 3, 170, 120
SERIES = ((COLORS[0], (1, 0), "circle", 0), (INK, (5, 3), "diamond", 4), (COLORS[1], (1, 0), "square", -4))
"""Color, dashes, shape, and shift in pixels of the first, second and third series of a panel."""
PLACE = "indexof(datum.label, ' (')"
TWO_LINES = f"{PLACE} < 0 ? datum.label : [slice(datum.label, 0, {PLACE}), slice(datum.label, {PLACE} + 1)]"
"""The name of a line with what is in parentheses below it."""
BEYOND = 1.5  # of the largest mean: intervals are cut there


@dataclass(frozen=True)
class Axes:
    """What the axes of all panels have in common."""

    across: str
    up: str
    values: Sequence[float]  # ticks of the horizontal axis
    logarithmic: bool = False
    roots: bool = False  # whether the vertical axis is of square roots: a few large means leave the small ones apart
    most: float | None = None  # end of the vertical axis; by the data if None


def panel_record(line: str, series: str, x: float, found: Summary, scale: float = 1.0) -> dict[str, Any]:
    """Make the record of one point; `found` has a mean."""
    ends = {"y": found.mean, "low": found.low, "high": found.high}
    shown = {name: max(0.0, value) for name, end in ends.items() if (value := rounded(end * scale)) is not None}
    return {"line": line, "series": series, "x": x, "n": found.n, "text": with_spread(found, 2, scale), **shown}


def panels_chart(name: str, title: str, text: str, records: Records, axes: Axes) -> Chart:
    """Draw a panel for each `line` of records of `panel_record`, in their order, with all its series.

    The vertical axis begins at 0 and ends at `axes.most`, or where the means end; intervals are cut there.
    """
    series = list(dict.fromkeys(str(record["series"]) for record in records))
    styles = dict(zip(series, SERIES, strict=False))
    top = axes.most or BEYOND * max((record["y"] for record in records), default=1.0) or 1.0
    kind = {"type": "log", "padding": 10} if axes.logarithmic else {"zero": False, "padding": 10}
    x = alt.X(
        "x:Q",
        title=axes.across,
        axis=alt.Axis(values=list(axes.values), grid=False, format=".3~r"),
        scale=alt.Scale(**kind, nice=False),
    )
    up = alt.Scale(
        type="sqrt" if axes.roots else "linear",
        domain=[0, min(top, max(_highest(records), 1e-9))] if axes.most is None else [0, top],
        nice=True,
    )
    y = alt.Y("y:Q", title=axes.up, scale=up)
    layers = [layer for one, style in styles.items() for layer in _layers(one, style, x, y, axes.up, _legend(styles))]
    made = alt.layer(*layers, data=alt.NamedData(name)).properties(width=WIDTH, height=HEIGHT)
    lines = list(dict.fromkeys(record["line"] for record in records))
    head = alt.Header(title=None, labelAnchor="start", labelLimit=WIDTH - 20, labelExpr=TWO_LINES)
    made = made.facet(facet=alt.Facet("line:N", title=None, sort=lines, header=head), columns=COLUMNS)
    return chart(name, title, text, made, {name: records})


def _highest(records: Records) -> float:
    return max((float(record.get("high", record["y"])) for record in records), default=1.0)


def _legend(styles: Mapping[str, tuple[str, tuple[int, int], str, int]]) -> dict[str, Any]:
    """Encode the series by color and shape, which share one legend; none for a single series."""
    shown = alt.Legend(columns=3, symbolLimit=0) if len(styles) > 1 else None
    names, found = list(styles), list(styles.values())
    return {
        "color": alt.Color("series:N", scale=alt.Scale(domain=names, range=[s[0] for s in found]), legend=shown),
        "shape": alt.Shape("series:N", scale=alt.Scale(domain=names, range=[s[2] for s in found]), legend=shown),
    }


def _layers(
    series: str, style: tuple[str, tuple[int, int], str, int], x: Any, y: Any, up: str, marks: Mapping[str, Any]
) -> list[Any]:
    own = alt.Chart().transform_filter(alt.datum.series == series)
    told = [alt.Tooltip("line:N", title="Method"), alt.Tooltip("series:N"), alt.Tooltip("x:Q")]
    told += [alt.Tooltip("text:N", title="Mean"), alt.Tooltip("n:Q")]
    ends = {"y": alt.Y("low:Q", title=up), "y2": "high:Q"}
    _, dashes, _, shift = style
    return [
        own.mark_line(strokeWidth=1.6, strokeDash=list(dashes), xOffset=shift, clip=True).encode(
            x=x, y=y, color=marks["color"]
        ),
        own.mark_rule(strokeWidth=1.6, opacity=0.75, xOffset=shift, clip=True).encode(
            x=x, **ends, color=marks["color"]
        ),
        own.mark_point(size=34, filled=True, opacity=1, xOffset=shift).encode(x=x, y=y, **marks, tooltip=told),
    ]
