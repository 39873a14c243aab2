"""Chart of curricula against their controls: each line's gap to Retrain minus that of its control."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from orchestrator.file_names import file_name
from orchestrator.report.charts.chart import Chart, chart, sized
from orchestrator.report.charts.data import rounded
from orchestrator.report.charts.style import COLORS, INK
from orchestrator.report.frames.summary import with_spread


def curricula_charts(found: pd.DataFrame) -> list[Chart]:
    """Draw a chart for each task and kind of unlearning, a row a line: its gap minus its control's, in points.

    Left of 0 is closer to Retrain than the control. Filled dots have an interval that does not contain 0.

    Args:
        found: of `curricula.against_controls`.
    """
    return [
        _differences(part, str(task), str(kind))
        for (task, kind), part in found.groupby(["task", "unlearning"], sort=False)
    ]


def _differences(part: pd.DataFrame, task: str, kind: str) -> Chart:
    records = []
    for line, control, gap in zip(part["line"], part["control_name"], part["gap_mean"], strict=True):
        apart = gap.spread == "95% t-interval" and not gap.low <= 0 <= gap.high
        record: dict[str, Any] = {"line": f"{line} − {control}", "n": gap.n, "apart": apart}
        ends = {"gap": gap.mean, "low": gap.low, "high": gap.high}
        record |= {name: shown for name, value in ends.items() if (shown := rounded(value)) is not None}
        records.append(record | {"text": with_spread(gap, 2)})
    name = file_name("curricula") if task == "all" else file_name("curricula", task, kind)
    base, names = alt.Chart(alt.NamedData(name)), [record["line"] for record in records]
    across = "gap − control's gap (points)"
    x = alt.X("gap:Q", title=across, scale=alt.Scale(zero=True, nice=True))
    y = alt.Y("line:N", title=None, sort=names, axis=alt.Axis(labelLimit=190))
    fill = alt.Fill("apart:N", legend=None, scale=alt.Scale(domain=[True, False], range=[COLORS[0], "transparent"]))
    told = [alt.Tooltip("line:N", title="Line"), alt.Tooltip("text:N", title="Difference"), alt.Tooltip("n:Q")]
    layers = [
        alt.Chart().mark_rule(color=INK, opacity=0.6).encode(x=alt.XDatum(0)),
        base.mark_rule(color=COLORS[0], strokeWidth=1.5).encode(x=alt.X("low:Q", title=across), x2="high:Q", y=y),
        base.mark_point(size=60, stroke=COLORS[0]).encode(x=x, y=y, fill=fill, tooltip=told),
    ]
    what = "All tasks and kinds, each seed's mean" if task == "all" else f"{task}, {kind} unlearning"
    text = f"{what}. Bars: 95 % t-interval over seeds, range of two; filled: the interval does not contain 0."
    made = sized(alt.layer(*layers), 40 + 26 * max(2, len(records)))
    return chart(name, "Curricula against their controls", text, made, {name: records})
