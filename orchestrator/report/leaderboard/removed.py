"""Requests one after another: accuracy and attack on all that was removed so far, next to one request for the same."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.file_names import file_name
from orchestrator.report.charts.panels import Axes, panel_record, panels_chart
from orchestrator.report.frames.gaps import DECIMALS
from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.frames.sequences import sequences
from orchestrator.report.frames.summary import NOTHING, Summary, summarize, with_spread
from orchestrator.report.leaderboard.pieces import Piece
from orchestrator.report.leaderboard.ranking import closest_to
from orchestrator.report.tables.markdown import escape, grid_markdown
from orchestrator.report.tables.significance import is_within_noise

AT_ONCE = "in one request"
ACCURACY, REMOVED_AUC, REMOVED_EER = "removed_accuracy", "removed_auc", "eer_forgotten_before"
SHOWN = {
    ACCURACY: ("Accuracy (%)", "on all that was removed so far", 100, 1),
    REMOVED_AUC: ("Loss AUC", "on all that was removed so far", 1, 3),
    REMOVED_EER: ("EER (%)", "of speakers whom an earlier request removed", 100, 1),
}
"""Measures with their titles, what they are measured on, factors and digits."""
ABOUT = (
    "Column k: on all that requests 1 to k removed, after request k; mean over seeds (n = {n}), ± as in All cells. "
    "Retrain is the target; bold: the closest to it after the last request; italic: Original and Retrain are not "
    "statistically distinguishable. More: 'Removed so far' in docs/results.md."
)
Cells = dict[tuple[str, int], Summary]  # by line and request; 0: in one request


@dataclass(frozen=True)
class RemovedSoFar:
    """One sequence on one backbone."""

    name: str
    steps: int
    lines: dict[str, tuple[str, str]]  # label and method of each line, by variant, in the order of tables
    values: dict[str, Cells]  # by measure
    original: dict[tuple[str, int], Summary]  # Original − Retrain, by measure and request


def removed_so_far(rows: pd.DataFrame) -> list[RemovedSoFar]:
    """Measure each line of each sequence after each of its requests; empty without sequences.

    Args:
        rows: of trials that finished, of `folder_evidence`.
    """
    found = []
    for task, of_task in rows.groupby("task"):
        alone = of_task[of_task["requests_before"] == ""]
        for one in sequences(of_task):
            for (training, backbone), own in one.rows.groupby(["training", "backbone"]):
                where = [str(task), str(backbone), *([] if training == "standard" else [str(training)])]
                at_once = _at_once(own, alone[(alone["training"] == training) & (alone["backbone"] == backbone)])
                both = pd.concat([own.assign(**_so_far(own)), at_once], ignore_index=True)
                found.append(_sequence(f"{', '.join(where)}: {one.name}", one.steps, both))
    return found


def removed_pieces(rows: pd.DataFrame) -> list[Piece]:
    """Write a section for each sequence: a table and a chart for each measure that it has."""
    pieces: list[Piece] = []
    for one in removed_so_far(rows):
        pieces += [f"## {escape(f'Removed so far: {one.name}')}", ""]
        most = max((found.n for cells in one.values.values() for found in cells.values()), default=0)
        for measure in one.values:
            pieces += [f"{SHOWN[measure][0]} {SHOWN[measure][1]}:", "", _table(one, measure), ""]
        pieces += [escape(ABOUT.format(n=most)), ""]
        pieces += [_chart(one, measure) for measure in one.values]
    return pieces


def _so_far(own: pd.DataFrame) -> dict[str, Any]:
    """Compute accuracy and AUC on D_f and on what was removed before, weighted by their numbers of utterances."""
    before = own["num_forgotten_before"].fillna(0).where(own["request"] > 1, 0)
    pairs = {ACCURACY: ("forget_accuracy", "forgotten_before_accuracy"), REMOVED_AUC: ("loss_auc", "earlier_auc")}
    found = {}
    for name, (of_request, of_earlier) in pairs.items():
        if of_request in own and (of_earlier in own or not before.any()):
            earlier = own[of_earlier].where(before > 0, 0.0) if of_earlier in own else 0.0
            found[name] = (own[of_request] * own["num_forget"] + earlier * before) / (own["num_forget"] + before)
    return found


def _at_once(own: pd.DataFrame, alone: pd.DataFrame) -> pd.DataFrame:
    """Return runs of the same seeds that removed in one request the classes that all of the sequence's removed."""
    last, wanted = own["request"].max(), {}
    for seed, of_seed in own[own["method"] == "retrain"].groupby("seed"):
        if of_seed["request"].nunique() == last > 1:
            wanted[seed] = {name for text in of_seed["forget_classes"] for name in text.split(",") if name}
    same = [
        bool(wanted.get(row["seed"])) and set(row["forget_classes"].split(",")) == wanted[row["seed"]]
        for row in alone[["seed", "forget_classes"]].to_dict("records")
    ]
    found = alone[np.array(same, dtype=bool)]
    same_measures = {ACCURACY: "forget_accuracy", REMOVED_AUC: "loss_auc", REMOVED_EER: "eer_forgotten"}
    own_measures = {name: found[column] for name, column in same_measures.items() if column in found}
    return found.assign(request=0, **own_measures)


def _sequence(name: str, steps: int, rows: pd.DataFrame) -> RemovedSoFar:
    rows = rows.sort_values("order", kind="stable")
    firsts: Mapping[Hashable, Any] = (
        rows.drop_duplicates("variant").set_index("variant")[["label", "method"]].T.to_dict()
    )
    lines = {str(variant): (first["label"], first["method"]) for variant, first in firsts.items()}
    values: dict[str, Cells] = {}
    original: dict[tuple[str, int], Summary] = {}
    for measure in SHOWN:
        if measure not in rows or rows[measure].notna().sum() == 0:
            continue
        cells: Cells = {}
        for (variant, request), own in rows.groupby(["variant", "request"]):
            cells[str(variant), int(str(request))] = summarize(own.groupby("seed")[measure].mean().to_numpy())
        values[measure] = cells
        for request in {request for _, request in cells}:
            of = {method: _seeds(rows, method, request, measure) for method in REFERENCES}
            apart = (of["original"] - of["retrain"]).dropna().round(DECIMALS)
            original[measure, request] = summarize(apart.to_numpy())
    return RemovedSoFar(name, steps, lines, values, original)


def _seeds(rows: pd.DataFrame, method: str, request: int, measure: str) -> pd.Series[float]:
    own = rows[(rows["method"] == method) & (rows["request"] == request)]
    return own.groupby("seed")[measure].mean()


def _columns(one: RemovedSoFar, measure: str) -> list[int]:
    found = {request for (_, request), value in one.values[measure].items() if value.n}
    return sorted(found, key=lambda request: request or one.steps + 1)


def _closest(one: RemovedSoFar, measure: str) -> set[str]:
    """Return the methods whose mean after the last request is the closest to Retrain's."""
    cells, last = one.values[measure], max(_columns(one, measure))
    target = [cells[v, last].mean for v, (_, method) in one.lines.items() if method == "retrain" and (v, last) in cells]
    methods = {v: cells[v, last] for v, (_, m) in one.lines.items() if m not in REFERENCES and (v, last) in cells}
    return closest_to(methods, target[0] if target else None)


def _table(one: RemovedSoFar, measure: str) -> str:
    *_, scale, digits = SHOWN[measure]
    columns, closest = _columns(one, measure), _closest(one, measure)
    gray = {request: is_within_noise(one.original[measure, request]) for request in columns}
    grid = []
    for variant, (label, _) in one.lines.items():
        cells = [one.values[measure].get((variant, request)) for request in columns]
        if not any(found and found.n for found in cells):
            continue
        texts = [with_spread(found, digits, scale) if found else NOTHING for found in cells]
        shown = [
            f"*{escape(text)}*" if gray[request] and text != NOTHING else escape(text)
            for text, request in zip(texts, columns, strict=True)
        ]
        if variant in closest and not gray[max(columns)]:
            shown[columns.index(max(columns))] = f"**{shown[columns.index(max(columns))]}**"
        grid.append([escape(label), *shown])
    titles = ["Method", *(str(request) if request else AT_ONCE.capitalize() for request in columns)]
    return grid_markdown(titles, grid)


def _chart(one: RemovedSoFar, measure: str) -> Piece:
    title, of_what, scale, _ = SHOWN[measure]
    records = []
    targets = [variant for variant, (_, method) in one.lines.items() if method == "retrain"]
    order: Sequence[int] = _columns(one, measure)
    for variant, (label, method) in one.lines.items():
        if method == "retrain" or not any((variant, request) in one.values[measure] for request in order):
            continue
        for series, of in (("in sequence", variant), ("Retrain", targets[0] if targets else "")):
            for request in order:
                found = one.values[measure].get((of, request))
                if found and found.n and request:
                    records.append(panel_record(label, series, request, found, scale))
        found = one.values[measure].get((variant, 0))
        if found and found.n:
            records.append(panel_record(label, AT_ONCE, max(order), found, scale))
    what = f"{title.removesuffix(' (%)')} {of_what}"
    text = (
        f"{what}, over the number of requests; bars: 95 % t-interval over seeds, range "
        "of two. The square: one request for all."
    )
    axes = Axes(
        "requests so far",
        title,
        [request for request in order if request],
        most=None if measure == REMOVED_EER else float(scale),
    )
    name = file_name("removed", one.name, measure)
    return panels_chart(name, f"{what}, {one.name}", text, records, axes)
