"""Tables for the page: the text of each cell, and which views of a task one may switch between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.report.build import Report
from orchestrator.report.charts.data import views
from orchestrator.report.frames.tuned import mixture
from orchestrator.report.tables.caption import caption
from orchestrator.report.tables.cells import Row, body, header
from orchestrator.report.tables.model import Line, Table
from orchestrator.report.tables.notes import baselines, block_notes
from orchestrator.report.tables.significance import headline


@dataclass(frozen=True)
class Cell:
    """One cell: its mean, and its spread or n in smaller type."""

    mean: str
    spread: str
    bold: bool
    gray: bool


@dataclass(frozen=True)
class BodyRow:
    """One line of a table."""

    label: str
    best: bool
    reference: bool
    cells: tuple[Cell, ...]  # without the label
    flags: str


@dataclass(frozen=True)
class BodyBlock:
    """A block of a table, with what is said under it."""

    title: str
    rows: tuple[BodyRow, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """One table of a task as the page shows it."""

    key: str  # of the file that it is saved to
    chart_view: str  # what its charts select; empty if it has none of its own
    label: str  # on its switch
    title: str
    caption: str
    lead: str  # a warning above the table, or empty
    baselines: str
    titles: tuple[str, ...]
    blocks: tuple[BodyBlock, ...]


def task_views(report: Report, sweeps: Sequence[tuple[str, Report]]) -> dict[str, list[View]]:
    """Return the views of each task: its tables, and its first table within each sweep if there are several.

    Args:
        report: of `build_report`.
        sweeps: of `sweep_reports`.
    """
    found: dict[str, list[View]] = {}
    for task in dict.fromkeys(table.task for table in report.tables):
        own = [table for table in report.tables if table.task == task]
        places = {table.name: str(place) for place, table in enumerate(views(own))}
        found[task] = [view(table, _label(table), places.get(table.name, "")) for table in own]
        for place, (title, table) in enumerate(first_tables(sweeps, task), len(places)):
            found[task].append(view(table, f"sweep {title}", str(place)))
    return found


def first_tables(sweeps: Sequence[tuple[str, Report]], task: str) -> list[tuple[str, Table]]:
    """Return the first table of a task in each sweep that has one, with the sweep's title."""
    first = [(title, next((one for one in sweep.tables if one.task == task), None)) for title, sweep in sweeps]
    return [(title, table) for title, table in first if table is not None]


def view(table: Table, label: str, chart_view: str) -> View:
    """Make a view of a table."""
    has_flags = any(line.flags_text for block in table.blocks for line in block.lines)
    titles = tuple(header(table))
    blocks = tuple(
        BodyBlock(
            headline(block),
            tuple(_row(line, row, has_flags) for line, row in zip(block.lines, body(table, block), strict=True)),
            tuple(note.text for note in block_notes(block)),
        )
        for block in table.blocks
    )
    shown = titles[:-1] if has_flags else titles
    lead, below = mixture(table.rows), baselines(table.rows)
    return View(table.name, chart_view, label, table.title, caption(table), lead, below, shown, blocks)


def _row(line: Line, row: Row, has_flags: bool) -> BodyRow:
    texts = row.cells[1:-1] if has_flags else row.cells[1:]
    cells = tuple(_cell(text, place in row.bold, place in row.gray) for place, text in enumerate(texts, 1))
    return BodyRow(line.label, line.best, line.method in ("original", "retrain"), cells, line.flags_text)


def _cell(text: str, bold: bool, gray: bool) -> Cell:
    mean, blank, spread = text.partition(" ")
    return Cell(mean, blank + spread, bold, gray)


def _label(table: Table) -> str:
    if table.by_ratio:
        return "by ratio"
    of = table.backbones[0] if len(table.backbones) == 1 else "mean over backbones"
    return f"{table.sequence}: {of}" if table.sequence else of
