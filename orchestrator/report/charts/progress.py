"""Charts of unlearning as it went: accuracy on D_f and D_v over charged time, a curve for each trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from orchestrator.file_names import file_name
from orchestrator.report.charts.chart import VIEW, Chart, chart, sized
from orchestrator.report.charts.data import block_key, counterparts, role, rounded
from orchestrator.report.charts.style import INK, Mark, color_encoding, dash_encoding, picked
from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.tables.columns import FORGET
from orchestrator.report.tables.model import Block, Table

ReadCurves = Callable[[Sequence[str]], pd.DataFrame]
"""Curves of trials by their ids, as `results.curves.read_curves` returns them."""
MOST_TRIALS = 60  # of a block: more curves hide each other
PARTS = {"forget": "D_f", "validation": "D_v"}


def progress_charts(tables: Sequence[Table], read: ReadCurves, stem: str, styles: dict[str, Mark]) -> list[Chart]:
    """Draw both accuracies for each block with curves; the dashed line is where Retrain ends on D_f.

    Args:
        tables: views of a task; the first one's blocks are drawn.
        read: curves of trials.
        stem: beginning of the files' names.
        styles: mark of each line, by label.
    """
    found = []
    for block in tables[0].blocks:
        shown = counterparts(tables, block)
        records = _records(shown, read) + [end for place, one in shown for end in _retrain(place, one)]
        beginning = f"{stem}--{file_name(block_key(block))}" if len(tables[0].blocks) > 1 else stem
        for part, name in PARTS.items():
            if any(part in record for record in records):
                found.append(_progress(block, part, name, beginning, records, styles))
    return found


def _methods(block: Block) -> pd.DataFrame:
    return block.rows[~block.rows["method"].isin(REFERENCES)]


def _trials(block: Block) -> pd.DataFrame:
    """Choose runs of methods, seed by seed, so that every method has as many."""
    return _methods(block).sort_values(["seed", "backbone", "order", "trial_id"]).head(MOST_TRIALS)


def _retrain(view: int, block: Block) -> Iterator[dict[str, Any]]:
    for line in block.lines:
        if line.method == "retrain" and line.has(FORGET):
            yield {"views": [view], "end": rounded(FORGET.shown(line.summaries[FORGET.column].mean))}


def _records(shown: Sequence[tuple[int, Block]], read: ReadCurves) -> list[dict[str, Any]]:
    """Make a record of each point, which both charts share; `run` and `line` tell one curve from another."""
    roles = {line.variant: role(line) for _, block in shown for line in block.lines}
    views: dict[str, list[int]] = {}
    trials = [(place, _trials(block)) for place, block in shown]
    for place, own in trials:
        for trial_id in own["trial_id"]:
            views.setdefault(str(trial_id), []).append(place)
    known = pd.concat([own for _, own in trials]).drop_duplicates("trial_id").set_index("trial_id")
    found = []
    for trial_id, points in read(list(views)).groupby("trial_id", sort=False):
        trial = known.loc[str(trial_id)]
        where = [str(trial["backbone"]), f"seed {trial['seed']}", str(trial["forget_classes"])]
        ratio = float(str(trial["requested_forget_ratio"]))
        where += [] if np.isnan(ratio) else [f"{100 * ratio:g} %"]
        lead = {"views": views[str(trial_id)], "line": trial["label"], "role": roles[str(trial["variant"])]}
        lead |= {"run": ", ".join(filter(None, where))}
        for point in points.to_dict("records"):
            at: dict[str, Any] = {"seconds": round(float(point["seconds"]), 2)}
            values = {part: rounded(100 * float(point[f"{part}_accuracy"])) for part in PARTS}
            found.append(lead | at | {part: value for part, value in values.items() if value is not None})
    return found


def _progress(
    block: Block, part: str, title: str, stem: str, records: list[dict[str, Any]], styles: dict[str, Mark]
) -> Chart:
    data = f"{stem}--curves"
    drawn = {record["line"] for record in records if "line" in record}
    x = alt.X("seconds:Q", title="charged time (s)", scale=alt.Scale(type="symlog", constant=1, nice=False))
    y = alt.Y(f"{part}:Q", title=f"{title} accuracy (%)", scale=alt.Scale(zero=False))
    pick = picked()
    own = {label: mark for label, mark in styles.items() if label in drawn}
    color, dash = color_encoding(own), dash_encoding(own)
    dim = alt.when(pick).then(alt.value(0.75)).otherwise(alt.value(0.06))
    told = [alt.Tooltip("line:N", title="Method"), alt.Tooltip("run:N", title="Run")]
    of_view = alt.Chart(alt.NamedData(data)).transform_filter(f"indexof(datum.views, {VIEW}) >= 0")
    base: Any = of_view.transform_filter(f"datum.{part} != null").mark_line(strokeWidth=1.5)
    curves = base.encode(x=x, y=y, color=color, detail="run:N", opacity=dim, strokeDash=dash, tooltip=told)
    layers: list[Any] = [curves.properties(name="curves").add_params(pick)]
    ends = part == "forget" and any("end" in record for record in records)
    if ends:
        dashed: Any = of_view.transform_filter("datum.end != null").mark_rule(strokeDash=[4, 3], color=INK, opacity=0.5)
        layers.insert(0, dashed.encode(y=alt.Y("end:Q", title=f"{title} accuracy (%)")))
    total = len(_methods(block))
    which = "each trial" if total <= MOST_TRIALS else f"{MOST_TRIALS} of {total} trials (the first seeds)"
    text = (
        f"A curve for {which}, measured after epochs on a part of {title}, which is not charged"
        f"{'; dashed: where Retrain ends' if ends else ''}. Click the legend to keep one method."
    )
    places = (place for record in records for place in record["views"])
    name, made = f"{stem}--{part}-over-time", sized(alt.layer(*layers))
    return chart(name, f"{title} over charged time", text, made, {data: records}, block.title, places)
