"""Charts of unlearning as it went: accuracy on D_f and D_v over charged time, a curve for each trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from orchestrator.file_names import file_name
from orchestrator.report.charts.chart import Chart, chart, sized
from orchestrator.report.charts.data import block_key, role, rounded
from orchestrator.report.charts.style import INK, Mark, color_encoding, dash_encoding
from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.tables.columns import FORGET
from orchestrator.report.tables.model import Block, Table

ReadCurves = Callable[[Sequence[str]], pd.DataFrame]
"""Curves of trials by their ids, as `results.curves.read_curves` returns them."""
MOST_TRIALS = 60  # of a block: more curves hide each other
PARTS = {"forget": "D_f", "validation": "D_v"}


def progress_charts(table: Table, read: ReadCurves, stem: str, styles: dict[str, Mark]) -> list[Chart]:
    """Draw both accuracies for each block with curves; the dashed line is where Retrain ends on D_f.

    Args:
        table: of a task.
        read: curves of trials.
        stem: beginning of the files' names.
        styles: mark of each line, by label.
    """
    found = []
    for block in table.blocks:
        of_trials = _trials(block)
        records = _records(block, of_trials, read(of_trials["trial_id"].tolist()))
        beginning = f"{stem}--{file_name(block_key(block))}" if len(table.blocks) > 1 else stem
        for part, name in PARTS.items():
            if any(part in record for record in records):
                found.append(_progress(block, part, name, beginning, records, styles))
    return found


def _trials(block: Block) -> pd.DataFrame:
    """Choose runs of methods, seed by seed, so that every method has as many."""
    own = block.rows[~block.rows["method"].isin(REFERENCES)]
    return own.sort_values(["seed", "backbone", "order", "trial_id"]).head(MOST_TRIALS)


def _records(block: Block, trials: pd.DataFrame, curves: pd.DataFrame) -> list[dict[str, Any]]:
    """Make a record of each point, which both charts share; `run` and `line` tell one curve from another."""
    roles = {line.variant: role(line) for line in block.lines}
    known = trials.set_index("trial_id")
    found = []
    for trial_id, points in curves.groupby("trial_id", sort=False):
        trial = known.loc[str(trial_id)]
        where = [str(trial["backbone"]), f"seed {trial['seed']}", str(trial["forget_classes"])]
        ratio = float(str(trial["requested_forget_ratio"]))
        where += [] if np.isnan(ratio) else [f"{100 * ratio:g} %"]
        lead = {"line": trial["label"], "role": roles[str(trial["variant"])], "run": ", ".join(filter(None, where))}
        for point in points.to_dict("records"):
            at: dict[str, Any] = {"seconds": round(float(point["seconds"]), 2)}
            shown = {part: rounded(100 * float(point[f"{part}_accuracy"])) for part in PARTS}
            found.append(lead | at | {part: value for part, value in shown.items() if value is not None})
    return found


def _progress(
    block: Block, part: str, title: str, stem: str, records: list[dict[str, Any]], styles: dict[str, Mark]
) -> Chart:
    data = f"{stem}--curves"
    drawn = {record["line"] for record in records}
    x = alt.X("seconds:Q", title="charged time (s)", scale=alt.Scale(type="symlog", constant=1, nice=False))
    y = alt.Y(f"{part}:Q", title=f"{title} accuracy (%)", scale=alt.Scale(zero=False))
    picked: Any = alt.selection_point("pick", fields=["line"], bind="legend")
    color = color_encoding({label: mark for label, mark in styles.items() if label in drawn})
    dim = alt.when(picked).then(alt.value(0.75)).otherwise(alt.value(0.06))
    told = [alt.Tooltip("line:N", title="Method"), alt.Tooltip("run:N", title="Run")]
    base = alt.Chart(alt.NamedData(data)).transform_filter(f"datum.{part} != null").mark_line(strokeWidth=1.5)
    curves = base.encode(x=x, y=y, color=color, detail="run:N", opacity=dim, strokeDash=dash_encoding(), tooltip=told)
    layers: list[Any] = [curves.properties(name="curves").add_params(picked)]
    target = next((line for line in block.lines if line.method == "retrain" and line.has(FORGET)), None)
    dashed = "" if part != "forget" or target is None else "; dashed: where Retrain ends"
    if dashed and target is not None:
        ends = FORGET.shown(target.summaries[FORGET.column].mean)
        layers.insert(0, alt.Chart().mark_rule(strokeDash=[4, 3], color=INK, opacity=0.5).encode(y=alt.YDatum(ends)))
    text = (
        f"A curve for each trial, measured after epochs on a part of {title}, which is not charged{dashed}. Click the "
        "legend to keep one method."
    )
    name = f"{stem}--{part}-over-time"
    return chart(name, f"{title} over charged time", text, sized(alt.layer(*layers)), {data: records}, block.title)
