"""Charts of stored outputs: the loss attack's ROC curve, and the confidence of models on D_f."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from orchestrator.evidence.outputs import Outputs
from orchestrator.evidence.roc import roc_curve
from orchestrator.file_names import file_name
from orchestrator.report.charts.chart import VIEW, Chart, chart, sized
from orchestrator.report.charts.data import block_key, counterparts, role
from orchestrator.report.charts.style import INK, Mark, color_encoding, dash_encoding, picked
from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.tables.model import Block, Line, Table

ReadOutputs = Callable[[str], Outputs | None]
CLOSEST = 3  # methods that are drawn next to Original and Retrain
MOST_RUNS = 30  # whose outputs are read for a line
RATES = np.logspace(-3, 0, 31)
CONFIDENCES = np.linspace(0, 1, 41)
Array = npt.NDArray[np.float64]


def membership_charts(tables: Sequence[Table], read: ReadOutputs, stem: str, styles: Mapping[str, Mark]) -> list[Chart]:
    """Draw both charts for each block with stored outputs of D_f: Original, Retrain, and the closest methods.

    Args:
        tables: views of a task; the first one's blocks are drawn.
        read: stored outputs of a trial by id, None where there are none.
        stem: beginning of the files' names.
        styles: mark of each line, by label.
    """
    found = []
    for block in tables[0].blocks:
        curves: list[dict[str, Any]] = []
        shares: list[dict[str, Any]] = []
        labels = {line.label for line in _shown(block)}
        for place, one in counterparts(tables, block):
            for line in (line for line in one.lines if line.label in labels):
                runs = [own for own in map(read, _trials(one, line)) if own and (own.parts == "forget").any()]
                lead = {VIEW: place, "line": line.label, "role": role(line), "runs": len(runs)}
                curves += [lead | point for point in _roc(runs, one)]
                shares += [lead | point for point in _confidence(runs)]
        part = f"{stem}--{file_name(block_key(block))}" if len(tables[0].blocks) > 1 else stem
        if curves:
            found.append(_drawn_roc(block, f"{part}--roc", curves, styles))
        if shares:
            found.append(_drawn_confidence(block, f"{part}--confidence", shares, styles))
    return found


def _shown(block: Block) -> list[Line]:
    methods = [line for line in block.lines if line.method not in REFERENCES and not np.isnan(line.gap)]
    closest = sorted(methods, key=lambda line: line.gap)[:CLOSEST]
    return [line for line in block.lines if line.method in REFERENCES or line in closest]


def _trials(block: Block, line: Line) -> list[str]:
    own = block.rows[(block.rows["variant"] == line.variant) & (block.rows["status"] == "done")]
    return sorted(own["trial_id"])[:MOST_RUNS]


def _roc(runs: Sequence[Outputs], block: Block) -> list[dict[str, float]]:
    """Average the curves of runs at equal rates of false alarms; a rate counts where every run measures it."""
    reference = "test" if (block.rows["mia_reference"] == "test").any() else "holdout"
    curves = []
    for run in runs:
        members, others = run.part("forget"), run.part(reference)
        others = others.where(np.isin(others.labels, members.labels))
        if len(others):
            curves.append(roc_curve(members.label_log_probability, others.label_log_probability, RATES))
    if not curves:
        return []
    mean: Array = np.mean(curves, axis=0)
    return [
        {"fpr": round(float(rate), 5), "tpr": round(float(value), 4)}
        for rate, value in zip(RATES, mean, strict=True)
        if not np.isnan(value) and value > 0
    ]


def _confidence(runs: Sequence[Outputs]) -> list[dict[str, float]]:
    """Average over runs the share of D_f with at most each confidence in the label, in %."""
    if not runs:
        return []
    each = [np.sort(np.exp(run.part("forget").label_log_probability)) for run in runs]
    mean = np.mean([np.searchsorted(own, CONFIDENCES, side="right") / len(own) for own in each], axis=0)
    points = zip(CONFIDENCES, mean, strict=True)
    return [{"confidence": round(100 * float(at), 1), "share": round(100 * float(value), 2)} for at, value in points]


def _drawn_roc(block: Block, name: str, records: list[dict[str, Any]], styles: Mapping[str, Mark]) -> Chart:
    lowest = min(record["fpr"] for record in records)
    scale = alt.Scale(type="log", domain=[lowest, 1])
    x = alt.X("fpr:Q", title="share of non-members above the threshold (log)", scale=scale)
    y = alt.Y("tpr:Q", title="share of D_f above it (log)", scale=alt.Scale(type="log", domain=[_floor(records), 1]))
    chance = [{"line": "", "role": "", "fpr": rate, "tpr": rate} for rate in (lowest, 1.0)]
    data = alt.Chart(alt.NamedData(name))
    diagonal = data.transform_filter("datum.role === ''").mark_line(color=INK, opacity=0.35).encode(x=x, y=y)
    records = [*records, *chance]
    text = (
        "Loss attack on each model, D_f against unseen utterances of the same classes, mean over runs; "
        "gray: guessing. Up to three methods closest to Retrain; a curve above Retrain's finds more of D_f."
    )
    layers = [diagonal, _lines(name, records, styles, x, y)]
    places = (record[VIEW] for record in records if VIEW in record)
    return chart(name, "Membership attack", text, sized(alt.layer(*layers)), {name: records}, block.title, places)


def _drawn_confidence(block: Block, name: str, records: list[dict[str, Any]], styles: Mapping[str, Mark]) -> Chart:
    x = alt.X("confidence:Q", title="confidence in the label (%)", scale=alt.Scale(domain=[0, 100]))
    y = alt.Y("share:Q", title="share of D_f with at most this (%)", scale=alt.Scale(domain=[0, 100]))
    text = (
        "How sure each model is of the labels of D_f, mean over runs. A method whose curve follows "
        "Retrain's is as sure of D_f as a model that never saw it."
    )
    made = sized(alt.layer(_lines(name, records, styles, x, y)))
    places = (record[VIEW] for record in records)
    return chart(name, "Confidence on D_f", text, made, {name: records}, block.title, places)


def _floor(records: Sequence[Mapping[str, Any]]) -> float:
    lowest = pd.Series([record["tpr"] for record in records]).min()
    return float(10 ** np.floor(np.log10(max(lowest, 1e-3))))


def _lines(name: str, records: list[dict[str, Any]], styles: Mapping[str, Mark], x: Any, y: Any) -> Any:
    labels = {record["line"] for record in records if record["role"]}
    own = {label: mark for label, mark in styles.items() if label in labels}
    pick, shown = picked(), alt.Chart(alt.NamedData(name)).transform_filter(f"datum.{VIEW} === {VIEW}")
    made: Any = shown.transform_filter("datum.role !== ''").mark_line(strokeWidth=1.8, clip=True)
    made = made.encode(
        x=x,
        y=y,
        color=color_encoding(own),
        strokeDash=dash_encoding(own),
        opacity=alt.when(pick).then(alt.value(1)).otherwise(alt.value(0.12)),
        tooltip=[alt.Tooltip("line:N", title="Method"), alt.Tooltip("runs:Q")],
    )
    return made.properties(name="lines").add_params(pick)
