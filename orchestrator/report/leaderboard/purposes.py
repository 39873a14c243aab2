"""Requests that are to remove more than utterances, an attribute or a backdoor: whether it is gone, next to Retrain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from orchestrator.evidence.paired import ALPHA, FEWEST, compare_paired, holm
from orchestrator.file_names import file_name
from orchestrator.forgetting.requests import WRONG_LABELS
from orchestrator.report.charts.by_method import by_method_chart, method_record
from orchestrator.report.evidence.groups import accuracy_by_group, accuracy_by_group_markdown
from orchestrator.report.evidence.model_index import ReadOutputs
from orchestrator.report.frames.gaps import DECIMALS
from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.frames.summary import NOTHING, BlockMeans, Summary, summarize, unit_name, with_spread
from orchestrator.report.leaderboard.pieces import Piece
from orchestrator.report.leaderboard.ranking import Cell
from orchestrator.report.tables.markdown import escape, grid_markdown

APART = "†"
ABOUT = (
    f"Means over seeds, ± as in All cells; Retrain is the target. {APART}: statistically distinguishable from it at "
    "95 % (paired by seed, Holm over the methods of a column; Original by itself); italic: Original is not, so nothing "
    "can be seen to go. More: 'Purposes' in docs/results.md."
)
DRAWN = "Dashed: Retrain's mean; bars: 95 % t-interval over {n}, range of two, cut at 0 and at the largest value."


@dataclass(frozen=True)
class Quantity:
    """One measure of a purpose."""

    column: str  # of the rows
    title: str
    scale: float = 100.0
    digits: int = 1
    most: float = 100.0  # largest value, after scaling


@dataclass(frozen=True)
class Purpose:
    """What requests of one kind are to remove."""

    kind: str
    title: str
    measures: tuple[Quantity, ...]
    drawn: int = 2  # how many of these the chart shows


PURPOSES = (
    Purpose(
        "attribute",
        "Is the attribute gone?",
        (
            Quantity("probe_auc", "AUC of a linear probe for the attribute", 1, 3, 1),
            Quantity("test_accuracy_attribute", "Accuracy on D_t with the attribute (%)"),
            Quantity("test_accuracy_others", "Accuracy on D_t without it (%)"),
            Quantity("test_group_gap", "Largest minus smallest accuracy of its groups on D_t (points)"),
        ),
    ),
    Purpose(
        "poisoned",
        "Is the backdoor gone?",
        (
            Quantity("attack_success", "Attack success (%)"),
            Quantity("test_accuracy", "Accuracy on D_t (%)"),
            Quantity("triggered_accuracy", "Accuracy on D_t with the trigger, true labels (%)"),
        ),
    ),
)


@dataclass(frozen=True)
class Answer:
    """One line in one cell, by one measure."""

    label: str
    method: str
    cell: str  # short name
    found: Summary
    apart: bool  # from Retrain; of Original: that there is something to lose
    tested: bool


def answers(cells: Sequence[Cell], quantity: Quantity) -> list[Answer]:
    """Compare each line with Retrain in each cell that has the measure, paired by seed."""
    found: list[Answer] = []
    for cell, name in zip(cells, _names(cells), strict=True):
        rows = cell.block.rows
        if quantity.column not in rows or not rows[quantity.column].notna().any():
            continue
        means = BlockMeans.of(rows, [quantity.column], [seed for _, seed in cell.means.planned.index])
        values = {line.variant: means.units(line.variant, "seeds")[quantity.column] for line in cell.block.lines}
        target = next((values[line.variant] for line in cell.block.lines if line.method == "retrain"), None)
        none = pd.Series(np.nan, index=[])
        differences = {
            variant: compare_paired((own - (none if target is None else target)).round(DECIMALS).to_numpy(dtype=float))
            for variant, own in values.items()
        }
        methods = [line.variant for line in cell.block.lines if line.method not in REFERENCES]
        corrected = dict(zip(methods, holm([differences[variant].p for variant in methods]), strict=True))
        for line in cell.block.lines:
            apart = differences[line.variant]
            p = corrected.get(line.variant, apart.p)
            tested = line.method != "retrain" and apart.n >= FEWEST
            summary = summarize(values[line.variant].to_numpy())
            found.append(Answer(line.label, line.method, name, summary, tested and p < ALPHA, tested))
    return found


def purposes_pieces(cells: Sequence[Cell], read: ReadOutputs) -> list[Piece]:
    """Write a section for each purpose of the cells: a chart, and a table for each measure with a column a cell.

    Of attributes also the accuracy of every group, from stored outputs.
    """
    pieces: list[Piece] = []
    for purpose in PURPOSES:
        own = [cell for cell in cells if cell.block.kind == purpose.kind]
        own.sort(key=lambda cell: -float(cell.block.rows["known_share"].fillna(1).iloc[0]))
        found = {quantity: there for quantity in purpose.measures if (there := answers(own, quantity))}
        if not found:
            continue
        pieces += [f"## {escape(purpose.title)}", "", *_chart(purpose, found)]
        for quantity, there in found.items():
            pieces += [escape(f"{quantity.title}:"), "", _table(quantity, there), ""]
        pieces += [escape(ABOUT), ""]
        rows = pd.concat([cell.block.rows for cell in own], ignore_index=True)
        groups = accuracy_by_group_markdown(accuracy_by_group(rows[rows["status"] == "done"], read))
        pieces += [line.replace("## ", "### Accuracy by group: ", 1) for line in groups]
    return pieces


def _names(cells: Sequence[Cell]) -> list[str]:
    """Name cells by their request, and by what else differs between them."""
    several = [len({of(cell) for cell in cells}) > 1 for of in (_task, _backbone, _training)]
    found = []
    for cell in cells:
        where = [of(cell) for of, differs in zip((_task, _backbone, _training), several, strict=True) if differs]
        request = _request(cell)
        found.append(": ".join([", ".join(where), request]) if where else request)
    return found


def _request(cell: Cell) -> str:
    """Return `accent`, `30 % known`: what is open in requests of this kind."""
    rule = str(cell.block.rows["forget_rule"].iloc[0])
    return "all known" if cell.block.kind in WRONG_LABELS and rule == "random" else rule


def _task(cell: Cell) -> str:
    return cell.table.task


def _backbone(cell: Cell) -> str:
    return cell.table.backbones[0]


def _training(cell: Cell) -> str:
    return cell.block.training


def _table(quantity: Quantity, found: Sequence[Answer]) -> str:
    names, labels = (list(dict.fromkeys(values)) for values in zip(*((a.cell, a.label) for a in found), strict=True))
    at = {(one.label, one.cell): one for one in found}
    noise = {one.cell for one in found if one.method == "original" and one.tested and not one.apart}
    grid = []
    for label in labels:
        cells = [escape(label)]
        for name in names:
            one = at.get((label, name))
            text = with_spread(one.found, quantity.digits, quantity.scale) if one else NOTHING
            text += f" {APART}" if one and one.apart else ""
            cells.append(f"*{escape(text)}*" if name in noise and text != NOTHING else escape(text))
        grid.append(cells)
    return grid_markdown(["Method", *map(escape, names)], grid)


def _chart(purpose: Purpose, found: dict[Quantity, list[Answer]]) -> list[Piece]:
    drawn = [quantity for quantity in purpose.measures if quantity in found][: purpose.drawn]
    records = [
        method_record(one.cell, quantity.title, one.label, one.method, one.found, quantity.scale, quantity.most)
        for cell in dict.fromkeys(one.cell for quantity in drawn for one in found[quantity])
        for quantity in drawn
        for one in found[quantity]
        if one.cell == cell and one.found.n
    ]
    if not records:
        return []
    lines = list(dict.fromkeys(record["line"] for record in records))
    most = max(record["n"] for record in records)
    text = DRAWN.format(n=f"{most} {unit_name('seeds', most)}")
    name = file_name("purpose", purpose.kind)
    return [by_method_chart(name, purpose.title, text, records, lines)]
