"""Charts with a curve for each line: over forget ratios, and over the requests of a sequence, with bands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import altair as alt

from orchestrator.file_names import file_name
from orchestrator.report.charts.chart import Chart, Records, chart, sized
from orchestrator.report.charts.data import block_key, spread_name
from orchestrator.report.charts.style import Mark, color_encoding, line_and_points, picked
from orchestrator.report.frames.training_cost import STANDARD
from orchestrator.report.tables.columns import FORGET, FORGOTTEN_BEFORE, GAP, TEST, Measure
from orchestrator.report.tables.model import Block, Table

TITLES = {
    "forget": ("D_f accuracy", FORGET),
    "test": ("D_t accuracy", TEST),
    "gap": ("Gap to Retrain", GAP),
    "before": ("Accuracy on what was forgotten before", FORGOTTEN_BEFORE),
}
Styles = dict[str, Mark]


def ratio_charts(table: Table, stem: str, data: str, records: Records, styles: Styles) -> list[Chart]:
    """Draw D_f accuracy and the gap over the forget ratio, a chart for each rule of sampling D_f and training."""
    groups: dict[tuple[str, str], list[Block]] = {}
    for block in table.blocks:
        groups.setdefault((str(block.rows["forget_rule"].iloc[0]), block.training), []).append(block)
    found = []
    for (rule, training), blocks in groups.items():
        what = f"Over the forget ratio; forget sets: {rule}" + (
            "" if training == STANDARD else f", training {training}"
        )
        part = f"{stem}--{file_name(rule, training)}" if len(groups) > 1 else stem
        for name in ("forget", "gap"):
            title = f"{TITLES[name][0]} over the forget ratio"
            where = (blocks, name, "forget ratio (% of D)", what)
            found += _curve(where, f"{part}--{name}-by-ratio", title, data, records, styles)
    return found


def request_charts(table: Table, stem: str, data: str, records: Records, styles: Styles) -> list[Chart]:
    """Draw accuracy on D_t, on each request's D_f and on all forgotten before it, over a sequence's requests."""
    found = []
    for training in dict.fromkeys(block.training for block in table.blocks):
        blocks = [block for block in table.blocks if block.training == training]
        part = stem if training == STANDARD else f"{stem}--{file_name(training)}"
        what = f"Over the requests of the sequence {table.sequence}" + (
            "" if training == STANDARD else f", training {training}"
        )
        for name in ("test", "forget", "before"):
            where = (blocks, name, "request", what)
            title = f"{TITLES[name][0]} over requests"
            found += _curve(where, f"{part}--{name}-by-request", title, data, records, styles)
    return found


def _curve(
    where: tuple[Sequence[Block], str, str, str],
    name: str,
    title: str,
    data: str,
    records: Records,
    styles: Styles,
) -> list[Chart]:
    blocks, field, across, what = where
    measure: Measure = TITLES[field][1]
    if not any(line.has(measure) for block in blocks for line in block.lines):
        return []
    own = sorted({block_key(block) for block in blocks})
    shown = alt.Chart(alt.NamedData(data)).transform_filter(
        f"datum.{field} != null && indexof({json.dumps(own)}, datum.block) >= 0"
    )
    ticks = sorted({float(r["at"]) for r in records if r["block"] in own})
    x = alt.X("at:Q", title=across, axis=alt.Axis(values=ticks, grid=False), scale=alt.Scale(zero=False, padding=8))
    unit = "points" if measure is GAP else "%"
    up = f"{measure.title if measure is not GAP else 'gap'} ({unit})"
    y = alt.Y(f"{field}:Q", title=up, scale=alt.Scale(zero=False))
    band: Any = alt.when(picked()).then(alt.value(0.14)).otherwise(alt.value(0.02))
    means = shown.transform_filter("datum.of === 'mean'")
    told = [alt.Tooltip("line:N", title="Method"), alt.Tooltip("at:Q", title=across)]
    told += [alt.Tooltip(f"{field}_text:N", title=f"{measure.title} ({unit})"), alt.Tooltip("n:Q", title="n")]
    layers = [
        means.mark_area().encode(
            x=x, y=alt.Y(f"{field}_low:Q", title=up), y2=f"{field}_high:Q", color=color_encoding(styles), opacity=band
        ),  # type: ignore[attr-defined]
        *line_and_points(means, x, y, styles, told),
    ]
    text = f"Lines are means, bands the {spread_name(blocks)}; Retrain is dashed."
    text += " Whichever table is shown, this is over all backbones." if blocks[0].over == "backbones" else ""
    return [chart(name, title, text, sized(alt.layer(*layers)), {data: records}, what)]
