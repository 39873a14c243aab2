"""Tables for the terminal: means, and the spread of the gap only; every other spread is in the report's files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.markup import escape
from rich.table import Table as Grid

from orchestrator.report.frames.summary import NOTHING
from orchestrator.report.frames.tuned import mixture
from orchestrator.report.tables.cells import Row, body, header
from orchestrator.report.tables.columns import GAP
from orchestrator.report.tables.model import Block, Table
from orchestrator.report.tables.notes import baselines, block_notes
from orchestrator.report.tables.significance import headline


def terminal_tables(tables: Iterable[Table]) -> list[Any]:
    """Render the first table of each task and of each sequence for `rich`: a grid and its notes for each block."""
    first: dict[tuple[str, str], Table] = {}
    for table in tables:
        first.setdefault((table.task, table.sequence), table)
    shown: list[Any] = []
    for table in first.values():
        if mixed := mixture(table.rows):
            shown += [f"[yellow]{escape(mixed)}[/yellow]", ""]
        for block in table.blocks:
            shown += [_grid(table, block), *(f"  {escape(note.text)}" for note in block_notes(block)), ""]
        shown += [f"  {escape(baselines(table.rows))}", ""]
    return shown


def _grid(table: Table, block: Block) -> Grid:
    titles, rows = header(table), body(table, block, spreads=(GAP,))
    wide = {place for place, measure in enumerate(table.columns, 1) if not measure.in_terminal}
    there = [place for place in range(len(titles)) if any(row.cells[place] not in (NOTHING, "") for row in rows)]
    kept = [place for place in there if place not in wide]
    grid = Grid(title=escape(f"{table.title}: {headline(block)}"), title_justify="left")
    for place in kept:
        title = escape(titles[place].replace(" ", "\n"))
        if place == 0:
            grid.add_column(title, min_width=18)
        else:
            grid.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        grid.add_row(*(_set(escape(row.cells[place]), place, row) for place in kept))
    return grid


def _set(cell: str, place: int, row: Row) -> str:
    style = "bold" if place in row.bold else "dim" if place in row.gray else ""
    return f"[{style}]{cell}[/{style}]" if style else cell
