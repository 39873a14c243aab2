"""The relearning attack as curves: accuracy on the unseen part of D_f by epoch, for each block and k."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt
import pandas as pd

from orchestrator.file_names import file_name
from orchestrator.report.charts.chart import VIEW, Chart, chart, sized
from orchestrator.report.charts.data import block_key, counterparts, role
from orchestrator.report.charts.style import Mark, line_and_points
from orchestrator.report.tables.model import Block, Table


def relearning_charts(tables: Sequence[Table], curves: pd.DataFrame, stem: str, styles: dict[str, Mark]) -> list[Chart]:
    """Draw the mean over a line's runs; Retrain is dashed, and what rises above it remembers.

    Args:
        tables: views of a task; the first one's blocks are drawn.
        curves: of `probes.relearning_curves`.
        stem: beginning of the files' names.
        styles: mark of each line, by label.
    """
    if curves.empty:
        return []
    own = curves[curves["trial_id"].isin(tables[0].rows["trial_id"])]
    after = own[(own["epoch"] > 0) & own["accuracy"].notna()]
    found = []
    for block in tables[0].blocks:
        of_block = own[own["trial_id"].isin(block.rows["trial_id"])]
        measured = after[after["trial_id"].isin(of_block["trial_id"])]["forgotten"]
        part = f"{stem}--{file_name(block_key(block))}" if len(tables[0].blocks) > 1 else stem
        for k in sorted(measured.unique()):
            of_k = curves[curves["forgotten"] == k]
            records = [one for place, of in counterparts(tables, block) for one in _records(place, of, of_k)]
            found.append(_relearning(block, int(k), records, f"{part}--relearning-{int(k)}", styles))
    return found


def _records(view: int, block: Block, curves: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for line in block.lines:
        runs = curves[curves["trial_id"].isin(block.rows.loc[block.rows["variant"] == line.variant, "trial_id"])]
        for epoch, values in runs.groupby("epoch")["accuracy"]:
            if values.notna().any():
                mean = round(100 * float(values.mean()), 2)
                lead = {VIEW: view, "line": line.label, "role": role(line), "epoch": int(float(str(epoch)))}
                yield lead | {"accuracy": mean, "runs": int(values.notna().sum())}


def _relearning(block: Block, k: int, records: list[dict[str, Any]], name: str, styles: dict[str, Mark]) -> Chart:
    drawn = {record["line"] for record in records}
    epochs = sorted({record["epoch"] for record in records})
    x = alt.X("epoch:Q", title="epochs of relearning", axis=alt.Axis(values=epochs, grid=False, format="d"))
    y = alt.Y("accuracy:Q", title="unseen D_f accuracy (%)", scale=alt.Scale(zero=False))
    told = [alt.Tooltip("line:N", title="Method")]
    told += [alt.Tooltip(f"{field}:Q") for field in ("epoch", "accuracy", "runs")]
    shown = alt.Chart(alt.NamedData(name)).transform_filter(f"datum.{VIEW} === {VIEW}")
    layers = line_and_points(shown, x, y, {label: mark for label, mark in styles.items() if label in drawn}, told)
    text = f"After training on k = {k} forgotten utterances. Means over runs; what rises above Retrain remembers."
    places = (record[VIEW] for record in records)
    made = sized(alt.layer(*layers))
    return chart(name, f"Relearning, k = {k}", text, made, {name: records}, block.title, places)
