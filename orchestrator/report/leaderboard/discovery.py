"""Wrong labels of which only a share is known: gap, and accuracy under the true labels, by share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.file_names import file_name
from orchestrator.forgetting.requests import WRONG_LABELS
from orchestrator.report.charts.panels import Axes, panel_record, panels_chart
from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.frames.summary import NOTHING, Summary, summarize, with_spread
from orchestrator.report.leaderboard.pieces import Piece
from orchestrator.report.leaderboard.ranking import Cell
from orchestrator.report.tables.columns import FORGET_TRUE, GAP, UNKNOWN_TRUE
from orchestrator.report.tables.markdown import escape, grid_markdown
from orchestrator.report.tables.model import contenders

KNOWN, UNKNOWN = FORGET_TRUE.column, UNKNOWN_TRUE.column
ABOUT = (
    "Gap in points, n seeds in parentheses; known and not known: accuracy in % under the true labels on wrongly "
    "labeled utterances that the request names and does not name; ± as in All cells. Bold: the smallest gap at a "
    "share; italic: Original and Retrain differ on D_f by no more than noise. More: 'Known share' in docs/results.md."
)


@dataclass(frozen=True)
class AtShare:
    """One line at one share."""

    label: str
    method: str
    share: float
    cell: Cell
    gap: Summary
    known: Summary
    unknown: Summary
    closest: bool


def by_share(cells: Sequence[Cell]) -> dict[str, list[AtShare]]:
    """Return lines at each share, by task and backbone; only where there are several shares."""
    found: dict[str, list[AtShare]] = {}
    for cell in cells:
        rows = cell.block.rows
        if cell.block.kind not in WRONG_LABELS:
            continue
        share = float(rows["known_share"].fillna(1.0).iloc[0])
        training = "" if cell.block.training == "standard" else f", {cell.block.training}"
        name = f"{cell.table.task}, {cell.table.backbones[0]}{training}"
        compared = {line.variant for line in contenders(cell.block.lines) if line.best}
        for line in cell.block.lines:
            units = cell.means.units(line.variant, "seeds")
            gap, known, unknown = (
                summarize(units[column].to_numpy() if column in units else [])
                for column in (GAP.column, KNOWN, UNKNOWN)
            )
            one = AtShare(line.label, line.method, share, cell, gap, known, unknown, line.variant in compared)
            found.setdefault(name, []).append(one)
    return {name: own for name, own in found.items() if len({one.share for one in own}) > 1}


def discovery_pieces(cells: Sequence[Cell]) -> list[Piece]:
    """Write a section for each task and backbone: a table with three columns a share, and a chart of the gap."""
    pieces: list[Piece] = []
    for name, own in by_share(cells).items():
        shares = sorted({one.share for one in own}, reverse=True)
        at = {(one.label, one.share): one for one in own}
        order = sorted({one.label for one in own}, key=lambda label: _place([at.get((label, s)) for s in shares]))
        titles = ["Method"]
        for share in shares:
            titles += [f"{100 * share:.3g} %: gap", "known", "not known"] if share < 1 else ["100 %: gap", "known"]
        grid = [
            [escape(label), *(text for share in shares for text in _texts(at.get((label, share)), share))]
            for label in order
        ]
        differ = "; ".join(
            f"{100 * share:.3g} %: |D_f| = {cell.block.rows['num_forget'].mean():.0f}"
            for share in shares
            for cell in [next(one.cell for one in own if one.share == share)]
        )
        pieces += [f"## {escape(f'Known wrong labels: {name}')}", "", escape(f"{differ}."), ""]
        pieces += [grid_markdown(titles, grid), "", escape(ABOUT), ""]
        records = [
            panel_record(one.label, "method", 100 * one.share, one.gap)
            for label in order
            for one in own
            if one.label == label and one.method not in REFERENCES and one.gap.n
        ]
        text = "Over the share of wrong labels that is known; bars: 95 % t-interval over seeds, range of two."
        axes = Axes("known wrong labels (%)", "gap (points)", [100 * share for share in shares], roots=True)
        if records:
            title = f"Gap by share of known wrong labels, {name}"
            pieces.append(panels_chart(file_name("known", name), title, text, records, axes))
    return pieces


def _place(own: Sequence[AtShare | None]) -> tuple[int, float, str]:
    """Order references first, then by the mean gap over the shares."""
    found = [one for one in own if one is not None]
    gaps = [one.gap.mean if one.gap.n else np.inf for one in found]
    method = found[0].method
    return REFERENCES.index(method) if method in REFERENCES else 2, float(np.mean(gaps)), found[0].label


def _texts(one: AtShare | None, share: float) -> list[str]:
    if one is None:
        return [NOTHING] * (3 if share < 1 else 2)
    shown = ["target" if one.method == "retrain" else _with_n(one.gap), with_spread(one.known, 1, 100)]
    shown += [with_spread(one.unknown, 1, 100)] if share < 1 else []
    shown = [escape(text) for text in shown]
    if not one.cell.forgettable:
        return [f"*{text}*" if text not in (NOTHING, "target") else text for text in shown]
    return [f"**{shown[0]}**" if one.closest else shown[0], *shown[1:]]


def _with_n(gap: Summary) -> str:
    return with_spread(gap) + (f" ({gap.n})" if gap.n else "")
