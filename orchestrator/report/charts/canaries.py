"""Chart of canaries: for each line its exposure of forgotten and kept canaries, next to those never trained on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import altair as alt

from orchestrator.report.charts.chart import Chart, chart, sized
from orchestrator.report.charts.data import rounded
from orchestrator.report.charts.style import COLORS, INK
from orchestrator.report.frames.summary import Summary, with_spread

STYLES = {"forgotten": (COLORS[1], "circle"), "kept": (COLORS[0], "square"), "never trained on": (INK, "diamond")}
NO_MEMORY = 1.44  # bits on average without memory: log2(e)


def canaries_chart(
    name: str, title: str, text: str, across: str, rows: Iterable[tuple[str, str, Summary]], expected: float | None
) -> Chart:
    """Draw a row for each line, with a mark and an interval for each group of canaries; the axis begins at 0.

    Args:
        name: of the chart's files.
        title: what it shows.
        text: how to read it.
        across: title of the horizontal axis.
        rows: line, group (a key of `STYLES`), and its mean; groups without values are left out.
        expected: where a dashed rule is drawn; None for none.
    """
    records = []
    for line, group, found in rows:
        if found.n:
            record: dict[str, Any] = {"line": line, "group": group, "n": found.n, "text": with_spread(found, 2)}
            ends = {"x": found.mean, "low": found.low, "high": found.high}
            records.append(record | {end: shown for end, v in ends.items() if (shown := rounded(v)) is not None})
    groups = [group for group in STYLES if any(record["group"] == group for record in records)]
    lines = list(dict.fromkeys(record["line"] for record in records))
    base = alt.Chart(alt.NamedData(name))
    y: Any = alt.Y("line:N", title=None, sort=lines)
    offset = alt.YOffset("group:N", sort=groups, scale=alt.Scale(paddingInner=0.6, paddingOuter=0.5))
    color = alt.Color("group:N", scale=alt.Scale(domain=groups, range=[STYLES[g][0] for g in groups]))
    shape = alt.Shape("group:N", scale=alt.Scale(domain=groups, range=[STYLES[g][1] for g in groups]))
    told = [alt.Tooltip("line:N", title="Method"), alt.Tooltip("group:N", title="Canaries")]
    told += [alt.Tooltip("text:N", title="Mean"), alt.Tooltip("n:Q")]
    x = alt.X("x:Q", title=across, scale=alt.Scale(domainMin=0, clamp=True, nice=True))
    low = alt.X("low:Q", title=across)
    layers = [
        base.mark_rule(strokeWidth=1.6, opacity=0.75).encode(x=low, x2="high:Q", y=y, yOffset=offset, color=color),
        base.mark_point(size=55, filled=True, opacity=1).encode(
            x=x, y=y, yOffset=offset, color=color, shape=shape, tooltip=told
        ),
    ]
    if expected is not None:
        rule = alt.Chart().mark_rule(strokeDash=[4, 3], color=INK, opacity=0.5)
        layers.insert(0, rule.encode(x=alt.XDatum(expected)))
    made = sized(alt.layer(*layers), 40 + (12 + 9 * max(1, len(groups))) * max(2, len(lines)))
    return chart(name, title, text, made, {name: records})
