"""Charts of one block of a table: forgetting against utility, gaps to Retrain, cost and budget."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import altair as alt

from orchestrator.file_names import file_name
from orchestrator.report.charts.chart import VIEW, Chart, Records, chart, sized
from orchestrator.report.charts.data import block_key, spread_name, utility
from orchestrator.report.charts.style import HEIGHT, INK, Mark, mark_encodings
from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.tables.columns import BUDGET_USED, FORGET, GAP, SECONDS
from orchestrator.report.tables.model import Block, Table

HOVER, PICK = "hover", "pick"
Styles = dict[str, Mark]


def block_charts(table: Table, stem: str, data: str, records: Records, styles: Styles) -> list[Chart]:
    """Draw what a block's lines have been measured for.

    Args:
        table: whose blocks are drawn first; other views of the same task are in the records.
        stem: beginning of the files' names.
        data: name of the records.
        records: of `data.records`.
        styles: mark of each line, by label.
    """
    found = []
    for block in table.blocks:
        part = f"{stem}--{file_name(block_key(block))}" if len(table.blocks) > 1 else stem
        own = {"table": table, "block": block, "stem": part, "data": data, "records": records, "styles": styles}
        if any(line.has(FORGET) and line.has(utility(block)) for line in block.lines):
            found.append(trade_off(**own))  # type: ignore[arg-type]
        if any(line.has(GAP) for line in block.lines):
            found.append(gaps(**own))  # type: ignore[arg-type]
        if any(line.has(GAP) and line.has(SECONDS) for line in block.lines if line.method != "retrain"):
            found.append(cost(**own))  # type: ignore[arg-type]
        if any(line.has(BUDGET_USED) for line in block.lines if line.method not in REFERENCES):
            found.append(budget(**own))  # type: ignore[arg-type]
    return found


def trade_off(table: Table, block: Block, stem: str, data: str, records: Records, styles: Styles) -> Chart:
    """Draw D_f against D_t accuracy: Retrain is where the dashed lines cross, the line is the Pareto front."""
    shown = _of_block(data, block)
    kept = ", kept classes" if block.kind == "class" else ""
    x = alt.X("forget:Q", title="D_f accuracy (%)", scale=alt.Scale(zero=False, nice=True))
    y = alt.Y("test:Q", title=f"D_t accuracy{kept} (%)", scale=alt.Scale(zero=False, nice=True))
    means, units = shown.transform_filter("datum.of === 'mean'"), shown.transform_filter("datum.of === 'unit'")
    target = means.transform_filter("datum.role === 'retrain'")
    cross: dict[str, Any] = {"strokeDash": [4, 3], "color": INK, "opacity": 0.5}
    color = mark_encodings(styles)
    near = alt.when(alt.selection_point(HOVER, empty=False)).then(alt.value(0.9)).otherwise(alt.value(0))
    front = means.transform_filter("datum.front").mark_line(color=INK, opacity=0.35, strokeWidth=1.4)
    layers = [
        target.mark_rule(**cross).encode(x=x),
        target.mark_rule(**cross).encode(y=y),
        front.encode(x=x, y=y, order=alt.Order("forget:Q")),
        units.mark_point(size=26, opacity=0.4, strokeWidth=1).encode(x=x, y=y, **color),
        means.mark_rule(strokeWidth=1.6).encode(
            x="forget_low:Q", x2="forget_high:Q", y=y, stroke=color["stroke"], opacity=near
        ),
        means.mark_rule(strokeWidth=1.6).encode(
            x=x, y="test_low:Q", y2="test_high:Q", stroke=color["stroke"], opacity=near
        ),
        _points(means, x, y, color, [("D_f (%)", "forget"), ("D_t (%)", "test"), ("Gap (points)", "gap")]),
    ]
    text = (
        f"Large marks are means, small ones single {block.over}; dashed lines cross at Retrain, the target; "
        f"the solid line joins methods that no other beats in both. On hover: {spread_name([block])}."
    )
    return _made(
        table, block, f"{stem}--forget-against-test", "Forgetting against utility", text, layers, data, records
    )


def gaps(table: Table, block: Block, stem: str, data: str, records: Records, styles: Styles) -> Chart:
    """Draw the mean gap to Retrain of every method, the smallest first, with its interval and what it averages."""
    shown = _of_block(data, block).transform_filter("datum.role !== 'retrain'")
    shown = shown.transform_calculate(place="datum.of === 'mean' ? (datum.gap == null ? 1e9 : datum.gap) : null")
    x = alt.X("gap:Q", title="mean gap to Retrain (points)", scale=alt.Scale(zero=True, nice=True))
    y = alt.Y("line:N", title=None, sort=alt.EncodingSortField("place", op="min", order="ascending"))
    color = mark_encodings(styles, legend=False)
    means, units = shown.transform_filter("datum.of === 'mean'"), shown.transform_filter("datum.of === 'unit'")
    lost = means.transform_calculate(at="datum.gap == null ? 0 : datum.gap", said="datum.flags ? datum.flags : ''")
    layers = [
        means.mark_rule(strokeWidth=2, opacity=0.7).encode(x="gap_low:Q", x2="gap_high:Q", y=y, stroke=color["stroke"]),
        units.mark_point(size=22, opacity=0.45, strokeWidth=1).encode(x=x, y=y, **color),
        _points(
            means, x, y, color, [("Gap (points)", "gap"), ("D_f (%)", "forget"), ("D_t (%)", "test")], legend=False
        ),
        lost.mark_text(align="left", dx=9, dy=-9, fontSize=10, opacity=0.75, color=INK).encode(
            x=alt.X("at:Q", title="mean gap to Retrain (points)"), y=y, text="said:N"
        ),
    ]
    text = (
        f"Large marks are means, small ones single {block.over}; bars: {spread_name([block])}. Left is closer "
        "to Retrain; Original is what doing nothing scores."
    )
    height = max(HEIGHT, 24 * sum(line.method != "retrain" for line in block.lines))
    name = f"{stem}--gap-to-retrain"
    return _made(table, block, name, "Gap to Retrain", text, layers, data, records, height)


def cost(table: Table, block: Block, stem: str, data: str, records: Records, styles: Styles) -> Chart:
    """Draw the gap to Retrain against the time that unlearning was charged."""
    shown = _of_block(data, block).transform_filter("datum.role !== 'original' && datum.seconds > 0")
    x = alt.X("seconds:Q", title="charged time (s)", scale=alt.Scale(type="log", nice=False, padding=14))
    y = alt.Y("gap:Q", title="gap to Retrain (points)", scale=alt.Scale(zero=True))
    color = mark_encodings(styles)
    means, units = shown.transform_filter("datum.of === 'mean'"), shown.transform_filter("datum.of === 'unit'")
    limit = means.transform_filter("datum.role === 'retrain'")
    layers = [
        limit.mark_rule(strokeDash=[4, 3], color=INK, opacity=0.5).encode(x=x),
        units.mark_point(size=22, opacity=0.4, strokeWidth=1).encode(x=x, y=y, **color),
        _points(means, x, y, color, [("Time (s)", "seconds"), ("Gap (points)", "gap"), ("Budget (%)", "budget")]),
    ]
    text = f"Large marks are means, small ones single {block.over}; the dashed line is what training Retrain took."
    return _made(table, block, f"{stem}--cost", "Gap against cost", text, layers, data, records)


def budget(table: Table, block: Block, stem: str, data: str, records: Records, styles: Styles) -> Chart:
    """Draw the share of its budget that each method used."""
    shown = _of_block(data, block).transform_filter(
        "datum.of === 'mean' && datum.budget != null && datum.role !== 'original' && datum.role !== 'retrain'"
    )
    x = alt.X("budget:Q", title="budget used (%)", scale=alt.Scale(zero=True, nice=True))
    y = alt.Y("line:N", title=None, sort=alt.EncodingSortField("budget", order="ascending"))
    color = mark_encodings(styles, legend=False)
    tooltip = [alt.Tooltip("line:N", title="Method"), alt.Tooltip("budget_text:N", title="Budget used (%)")]
    bars = shown.mark_bar(height=11, strokeWidth=1.3, fillOpacity=0.55).encode(
        x=x, y=y, stroke=color["stroke"], fill=color["fill"], tooltip=tooltip
    )
    full = alt.Chart().mark_rule(strokeDash=[4, 3], color=INK, opacity=0.5).encode(x=alt.XDatum(100))
    layers = [bars, full]
    text = "Means; at 100 % a run is stopped and evaluated in the state that it reached."
    height = max(HEIGHT, 24 * sum(line.has(BUDGET_USED) for line in block.lines))
    return _made(table, block, f"{stem}--budget", "Budget used", text, layers, data, records, height)


def _of_block(data: str, block: Block) -> alt.Chart:
    return alt.Chart(alt.NamedData(data)).transform_filter(
        f"datum.{VIEW} === {VIEW} && datum.block === {json.dumps(block_key(block))}"
    )


def _points(
    means: alt.Chart, x: Any, y: Any, color: dict[str, Any], told: Sequence[tuple[str, str]], *, legend: bool = True
) -> Any:
    """Draw means, with what a pointer is told; a click on the legend keeps one line."""
    tooltip = [alt.Tooltip("line:N", title="Method")]
    tooltip += [alt.Tooltip(f"{name}_text:N", title=title) for title, name in told]
    tooltip += [alt.Tooltip("n:Q", title="n")]
    picked = alt.selection_point(PICK, fields=["line"], bind="legend") if legend else None
    hover = alt.selection_point(HOVER, fields=["line"], on="pointerover", clear="pointerout", empty=False)
    dim = alt.when(picked).then(alt.value(1)).otherwise(alt.value(0.15)) if picked else alt.value(1)
    made = means.mark_point(size=95, strokeWidth=1.6).encode(x=x, y=y, opacity=dim, tooltip=tooltip, **color)
    return made.properties(name="means").add_params(*(p for p in (hover, picked) if p is not None))


def _made(
    table: Table,
    block: Block,
    name: str,
    title: str,
    text: str,
    layers: Sequence[alt.Chart],
    data: str,
    records: Records,
    height: int = HEIGHT,
) -> Chart:
    key = block_key(block)
    places = {record[VIEW] for record in records if record["block"] == key}
    return chart(name, title, text, sized(alt.layer(*layers), height), {data: records}, block.title, places)
