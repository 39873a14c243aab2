"""The relearning attack as curves: accuracy on the unseen part of D_f by epoch, for each block and k."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from orchestrator.file_names import file_name
from orchestrator.report.charts.chart import Chart, chart, sized
from orchestrator.report.charts.data import block_key, role
from orchestrator.report.charts.style import Mark, color_encoding, dash_encoding
from orchestrator.report.tables.model import Block, Table


def relearning_charts(table: Table, curves: pd.DataFrame, stem: str, styles: dict[str, Mark]) -> list[Chart]:
    """Draw the mean over a line's runs; Retrain is dashed, and what rises above it remembers.

    Args:
        table: of a task.
        curves: of `probes.relearning_curves`.
        stem: beginning of the files' names.
        styles: mark of each line, by label.
    """
    if curves.empty:
        return []
    own = curves[curves["trial_id"].isin(table.rows["trial_id"])]
    after = own[(own["epoch"] > 0) & own["accuracy"].notna()]
    found = []
    for block in table.blocks:
        of_block = own[own["trial_id"].isin(block.rows["trial_id"])]
        measured = after[after["trial_id"].isin(of_block["trial_id"])]["forgotten"]
        part = f"{stem}--{file_name(block_key(block))}" if len(table.blocks) > 1 else stem
        for k in sorted(measured.unique()):
            name = f"{part}--relearning-{int(k)}"
            found.append(_relearning(block, int(k), of_block[of_block["forgotten"] == k], name, styles))
    return found


def _relearning(block: Block, k: int, curves: pd.DataFrame, name: str, styles: dict[str, Mark]) -> Chart:
    records: list[dict[str, Any]] = []
    for line in block.lines:
        runs = curves[curves["trial_id"].isin(block.rows.loc[block.rows["variant"] == line.variant, "trial_id"])]
        for epoch, values in runs.groupby("epoch")["accuracy"]:
            if values.notna().any():
                mean = round(100 * float(values.mean()), 2)
                lead = {"line": line.label, "role": role(line), "epoch": int(float(str(epoch)))}
                records.append(lead | {"accuracy": mean, "runs": int(values.notna().sum())})
    there = {label: mark for label, mark in styles.items() if label in {record["line"] for record in records}}
    epochs = sorted({record["epoch"] for record in records})
    x = alt.X("epoch:Q", title="epochs of relearning", axis=alt.Axis(values=epochs, grid=False, format="d"))
    y = alt.Y("accuracy:Q", title="unseen D_f accuracy (%)", scale=alt.Scale(zero=False))
    picked: Any = alt.selection_point("pick", fields=["line"], bind="legend")
    dim = alt.when(picked).then(alt.value(1)).otherwise(alt.value(0.12))
    told = [
        alt.Tooltip("line:N", title="Method"),
        alt.Tooltip("epoch:Q"),
        alt.Tooltip("accuracy:Q"),
        alt.Tooltip("runs:Q"),
    ]
    base, color = alt.Chart(alt.NamedData(name)), color_encoding(there)
    layers = [
        base.mark_line(strokeWidth=1.8).encode(x=x, y=y, color=color, opacity=dim, strokeDash=dash_encoding()),
        base.mark_point(size=34, filled=True)
        .encode(x=x, y=y, color=color, opacity=dim, tooltip=told)
        .properties(name="means")
        .add_params(picked),
    ]
    text = f"After training on k = {k} forgotten utterances. Means over runs; what rises above Retrain remembers."
    return chart(name, f"Relearning, k = {k}", text, sized(alt.layer(*layers)), {name: records}, block.title)
