"""Speakers: verification by cosine and membership of the person, cell by cell, where embeddings are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.report.evidence.audit_columns import AUDITS, ROLES
from orchestrator.report.evidence.table import Column, column_cells
from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.frames.summary import Summary, summarize, with_spread
from orchestrator.report.leaderboard.ranking import Cell, closest_to
from orchestrator.report.tables.markdown import escape, grid_markdown

FORGOTTEN, UNHEARD = "eer_forgotten", "eer_unheard"
EER = tuple(Column(f"eer_{role}", f"EER, {title} (%)", 1, 100) for role, title in ROLES.items())
COST = tuple(Column(f"min_dcf_0.05_{role}", f"minDCF, {title}", 2) for role, title in ROLES.items())
MEMBERSHIP = tuple(
    replace(column, title=f"{column.title.split(',')[0]}, AUC")
    for column in AUDITS["Was the person in training? Speakers, AUC"]
    if column.name.endswith("_auc")
)
ABOUT = (
    "EER and minDCF of verification by cosine, AUC of whether the person was in training; means over seeds, ± as in "
    "All cells, for one run its own 95 % interval. Bold: the EER of forgotten speakers that is closest to that of "
    "never-trained-on ones under Retrain; italic: Original and Retrain are not statistically distinguishable. More: "
    "'Speakers' in docs/results.md."
)


def speakers_markdown(cells: Sequence[Cell]) -> list[str]:
    """Write the section: a table for each cell whose trials stored speakers; nothing without any."""
    parts: list[str] = []
    for cell in cells:
        wanted = [column for column in (*EER, *COST, *MEMBERSHIP) if column.name in cell.means.by_seed]
        shown, texts = column_cells(wanted, cell.block, cell.means)
        if not shown:
            continue
        target = _of(cell, "retrain", UNHEARD)
        best = _closest(cell, target)
        names = [column.name for column in shown]
        grid = []
        for line in cell.block.lines:
            own = list(texts[line.variant])
            if line.variant in best and FORGOTTEN in names:
                own[names.index(FORGOTTEN)] = f"**{own[names.index(FORGOTTEN)]}**"
            grid.append([escape(line.label), *own])
        seeds = max((line.units for line in cell.block.lines), default=0)
        said = f"{cell.name}, n = {seeds} seed{'s' if seeds != 1 else ''}."
        if target.n:
            said += f" Target, EER of never-trained-on speakers under Retrain: {with_spread(target, 1, 100)} %."
        parts += [escape(said), "", grid_markdown(["Method", *(escape(column.title) for column in shown)], grid), ""]
    return ["## Speakers: verification and membership", "", *parts, escape(ABOUT), ""] if parts else []


def _of(cell: Cell, method: str, column: str) -> Summary:
    line = next((line.variant for line in cell.block.lines if line.method == method), "")
    units = cell.means.units(line, "seeds")
    return summarize(units[column].to_numpy() if column in units else [])


def _closest(cell: Cell, target: Summary) -> set[str]:
    """Return the lines whose EER of forgotten speakers is the closest to the target."""
    if FORGOTTEN not in cell.means.by_seed:
        return set()
    found = {
        line.variant: summarize(cell.means.units(line.variant, "seeds")[FORGOTTEN].to_numpy())
        for line in cell.block.lines
        if line.method not in REFERENCES
    }
    return closest_to(found, target.mean if target.n else None)
