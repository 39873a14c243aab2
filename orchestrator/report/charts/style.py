"""How charts look: one color and shape a method in every chart, a hollow one for SuperLoss, quiet axes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from orchestrator.report.frames.select import PAPER_ORDER, REFERENCES
from orchestrator.report.tables.model import Line

INK = "currentColor"
"""Text and axes take the color of the page around them, so that one SVG suits light and dark; alone it is black."""
# Okabe and Ito's hues, moved to middle lightness: 3 : 1 against white and against the dark page.
COLORS = ("#2f7fc4", "#d3661f", "#1d9a6c", "#c2629b", "#2a9bb8", "#b07d16", "#9a6a53", "#8561d6", "#6b8e23", "#d0454c")
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-left", "triangle-right")
STAR = "M0,-1L.24,-.31L.95,-.31L.38,.12L.59,.81L0,.4L-.59,.81L-.38,.12L-.95,-.31L-.24,-.31Z"
DASHES = {"method": (1, 0), "superloss": (8, 2), "retrain": (5, 3), "original": (2, 3)}
FONT = "system-ui, 'Liberation Sans', Helvetica, Arial, sans-serif"
WIDTH, HEIGHT = 380, 280
CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": FONT,
    "padding": {"left": 4, "right": 8, "top": 6, "bottom": 4},
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK, "titleColor": INK, "domainColor": INK, "tickColor": INK, "gridColor": INK,
        "labelOpacity": 0.8, "domainOpacity": 0.35, "tickOpacity": 0.35, "gridOpacity": 0.13,
        "titleFontWeight": "normal", "titleFontSize": 12, "labelFontSize": 11, "labelLimit": 260,
    },
    "legend": {
        "orient": "bottom", "labelColor": INK, "titleColor": INK, "labelFontSize": 11, "symbolSize": 70,
        "symbolOpacity": 1, "title": None, "labelLimit": 320, "rowPadding": 4, "columnPadding": 14,
    },
    "title": {"color": INK, "fontSize": 12, "fontWeight": 600, "anchor": "start", "offset": 8},
    "header": {"labelColor": INK, "titleColor": INK},
}  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """Color, shape, filling and dashes of one line of a table."""

    color: str
    shape: str
    filled: bool
    dashes: tuple[int, int]


def marks(lines: Sequence[Line]) -> dict[str, Mark]:
    """Choose a mark for each line, by its label: methods by color, the lines of one method by shape."""
    others = [m for m in dict.fromkeys(line.method for line in lines) if m not in PAPER_ORDER]
    contenders = [m for m in PAPER_ORDER if m not in REFERENCES] + others
    found: dict[str, Mark] = {}
    of_method: dict[tuple[str, bool], int] = {}
    for line in lines:
        if line.label in found:
            continue
        if line.method in REFERENCES:
            is_target = line.method == "retrain"
            found[line.label] = Mark(INK, STAR if is_target else "circle", is_target, DASHES[line.method])
            continue
        place, variant = contenders.index(line.method), (line.method, line.superloss)
        nth = of_method[variant] = of_method.get(variant, -1) + 1
        color, shape = COLORS[place % len(COLORS)], SHAPES[(place + nth) % len(SHAPES)]
        found[line.label] = Mark(color, shape, not line.superloss, DASHES["superloss" if line.superloss else "method"])
    return found


def mark_encodings(styles: dict[str, Mark], *, legend: bool = True) -> dict[str, Any]:
    """Encode the field `line` as stroke, fill and shape; the three share one legend."""
    names = list(styles)
    shown = alt.Legend(columns=legend_columns(names), symbolLimit=0) if legend else None
    strokes, shapes = [styles[name].color for name in names], [styles[name].shape for name in names]
    fills = [styles[name].color if styles[name].filled else "transparent" for name in names]
    return {
        "stroke": alt.Stroke("line:N", scale=alt.Scale(domain=names, range=strokes), legend=shown),
        "fill": alt.Fill("line:N", scale=alt.Scale(domain=names, range=fills), legend=shown),
        "shape": alt.Shape("line:N", scale=alt.Scale(domain=names, range=shapes), legend=shown),
    }


def line_scale(styles: dict[str, Mark]) -> alt.Scale:
    """Return the colors of lines by their labels."""
    return alt.Scale(domain=list(styles), range=[mark.color for mark in styles.values()])


def dash_encoding(styles: dict[str, Mark]) -> alt.StrokeDash:
    """Encode the field `line` as dashes: of Retrain, of Original, and of lines that share their color with a method."""
    scale = alt.Scale(domain=list(styles), range=[list(mark.dashes) for mark in styles.values()])
    return alt.StrokeDash("line:N", legend=_curve_legend(styles), scale=scale)


def color_encoding(styles: dict[str, Mark]) -> alt.Color:
    """Encode the field `line` as the color of a curve; the legend is that of `dash_encoding`."""
    return alt.Color("line:N", scale=line_scale(styles), legend=_curve_legend(styles))


def _curve_legend(styles: dict[str, Mark]) -> alt.Legend:
    return alt.Legend(columns=min(3, legend_columns(list(styles))), symbolLimit=0, symbolType="stroke", symbolSize=240)


def picked() -> Any:
    """Return the selection that a click on the legend makes."""
    return alt.selection_point("pick", fields=["line"], bind="legend")


def line_and_points(shown: Any, x: Any, y: Any, styles: dict[str, Mark], told: Sequence[alt.Tooltip]) -> list[Any]:
    """Draw a line with points for each method; a click on the legend keeps one.

    Args:
        shown: an Altair chart of records with the fields `line` and `role`.
        x: encoding of the horizontal axis.
        y: encoding of the vertical axis.
        styles: mark of each line, by label.
        told: what a pointer is told at a point.
    """
    pick, color = picked(), color_encoding(styles)
    dim: Any = alt.when(pick).then(alt.value(1)).otherwise(alt.value(0.12))
    points = shown.mark_point(size=36, filled=True).encode(x=x, y=y, color=color, opacity=dim, tooltip=list(told))
    return [
        shown.mark_line(strokeWidth=1.8).encode(x=x, y=y, color=color, opacity=dim, strokeDash=dash_encoding(styles)),
        points.properties(name="means").add_params(pick),
    ]


def legend_columns(names: Sequence[str]) -> int:
    """Choose how many columns a legend below a chart has, by its longest name."""
    longest = max((len(name) for name in names), default=0)
    return 4 if longest <= 11 else 3 if longest <= 15 else 2 if longest <= 26 else 1


def wrapped(text: str, width: int = 60) -> list[str]:
    """Wrap text over several lines, as Vega takes them."""
    return textwrap.wrap(text, width) or [""]
