"""Chart of collapse: each line's share of D_t in one class, with its accuracy and a constant predictor's."""

from __future__ import annotations

from typing import Any

import altair as alt

from orchestrator.file_names import file_name
from orchestrator.report.charts.chart import Chart, chart, sized
from orchestrator.report.charts.data import block_key, rounded, spread, spread_name
from orchestrator.report.charts.style import INK, Mark
from orchestrator.report.tables.columns import CONSTANT, ONE_CLASS, TEST
from orchestrator.report.tables.model import Block, Table


def collapse_charts(table: Table, stem: str, styles: dict[str, Mark]) -> list[Chart]:
    """Draw the blocks in which a run gives one answer to nearly everything, and was measured for it."""
    found = []
    for block in table.blocks:
        if any(line.flags["collapsed"] and line.has(ONE_CLASS) for line in block.lines):
            part = f"{stem}--{file_name(block_key(block))}" if len(table.blocks) > 1 else stem
            found.append(_collapse(block, f"{part}--collapse", styles))
    return found


def _collapse(block: Block, name: str, styles: dict[str, Mark]) -> Chart:
    """Draw a row a line: the bar is the share of D_t in one class, the dot the accuracy on D_t."""
    records = [
        {"line": line.label}
        | spread("share", line.summaries[ONE_CLASS.column], ONE_CLASS)
        | spread("accuracy", line.summaries[TEST.column], TEST)
        for line in block.lines
        if line.has(ONE_CLASS)
    ]
    names = [record["line"] for record in records]
    base = alt.Chart(alt.NamedData(name))
    x: Any = alt.X("share:Q", title="% of D_t", scale=alt.Scale(domain=[0, 100]))
    y = alt.Y("line:N", title=None, sort=names)
    color = alt.Color(
        "line:N", legend=None, scale=alt.Scale(domain=names, range=[styles[label].color for label in names])
    )
    told = [alt.Tooltip("line:N", title="Method"), alt.Tooltip("share_text:N", title="D_t in one class (%)")]
    told += [alt.Tooltip("accuracy_text:N", title="D_t accuracy (%)")]
    layers = [
        base.mark_bar(height=13, opacity=0.4).encode(x=x, y=y, color=color, tooltip=told),
        base.mark_rule(opacity=0.6, color=INK).encode(
            x=alt.X("accuracy_low:Q", title="% of D_t"), x2="accuracy_high:Q", y=y
        ),
        base.mark_point(filled=True, size=45, color=INK, opacity=1).encode(x=alt.X("accuracy:Q"), y=y, tooltip=told),
    ]
    constant = rounded(CONSTANT.shown(float(block.rows[CONSTANT.column].mean())))
    if constant is not None:
        layers.append(alt.Chart().mark_rule(strokeDash=[4, 3], color=INK).encode(x=alt.XDatum(constant)))
    text = (
        "Bars: share of the predictions on D_t that one class takes; dots: accuracy on D_t "
        f"({spread_name([block])}); dashed: accuracy of always answering the most frequent class of D."
    )
    made = sized(alt.layer(*layers), 40 + 22 * max(2, len(records)))
    return chart(name, "Collapsed predictions", text, made, {name: records}, block.title)
