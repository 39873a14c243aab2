"""Chart of collapse: each line's share of D_t in one class, with its accuracy and a constant predictor's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from orchestrator.file_names import file_name
from orchestrator.report.charts.chart import VIEW, Chart, chart, sized
from orchestrator.report.charts.data import block_key, counterparts, rounded, spread, spread_name
from orchestrator.report.charts.style import INK, Mark
from orchestrator.report.tables.columns import CONSTANT, ONE_CLASS, TEST
from orchestrator.report.tables.model import Block, Table


def collapse_charts(tables: Sequence[Table], stem: str, styles: dict[str, Mark]) -> list[Chart]:
    """Draw the blocks in which a run gives one answer to nearly everything, and was measured for it.

    Args:
        tables: views of a task; the first one's blocks are drawn.
        stem: beginning of the files' names.
        styles: mark of each line, by label.
    """
    found = []
    for block in tables[0].blocks:
        if any(line.flags["collapsed"] and line.has(ONE_CLASS) for line in block.lines):
            part = f"{stem}--{file_name(block_key(block))}" if len(tables[0].blocks) > 1 else stem
            found.append(_collapse(block, counterparts(tables, block), f"{part}--collapse", styles))
    return found


def _records(view: int, block: Block) -> Iterator[dict[str, Any]]:
    for line in block.lines:
        if line.has(ONE_CLASS):
            found = {VIEW: view, "line": line.label} | spread("share", line.summaries[ONE_CLASS.column], ONE_CLASS)
            yield found | spread("accuracy", line.summaries[TEST.column], TEST)
    constant = rounded(CONSTANT.shown(float(block.rows[CONSTANT.column].mean())))
    if constant is not None:
        yield {VIEW: view, "constant": constant}


def _collapse(block: Block, shown: Sequence[tuple[int, Block]], name: str, styles: dict[str, Mark]) -> Chart:
    """Draw a row a line: the bar is the share of D_t in one class, the dot the accuracy on D_t."""
    records = [record for place, one in shown for record in _records(place, one)]
    names = list(dict.fromkeys(record["line"] for record in records if "line" in record))
    of_view = alt.Chart(alt.NamedData(name)).transform_filter(f"datum.{VIEW} === {VIEW}")
    base = of_view.transform_filter("datum.line != null")
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
    if any("constant" in record for record in records):
        constant: Any = of_view.transform_filter("datum.constant != null").mark_rule(strokeDash=[4, 3], color=INK)
        layers.append(constant.encode(x=alt.X("constant:Q")))
    text = (
        "Bars: share of the predictions on D_t that one class takes; dots: accuracy on D_t "
        f"({spread_name([block])}); dashed: accuracy of always answering the most frequent class of D."
    )
    made = sized(alt.layer(*layers), 40 + 22 * max(2, len(names)))
    places = (record[VIEW] for record in records)
    return chart(name, "Collapsed predictions", text, made, {name: records}, block.title, places)
