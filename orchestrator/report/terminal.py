"""Tables for the terminal."""

from __future__ import annotations

from typing import Any

import pandas as pd
from rich.console import Group
from rich.markup import escape
from rich.table import Table as Grid

from orchestrator.report.compare import with_gaps
from orchestrator.report.layout import body, header
from orchestrator.report.lines import prepare, reported
from orchestrator.report.remarks import remarks
from orchestrator.report.tables import Table, build_tables


def terminal_tables(rows: pd.DataFrame) -> list[Any]:
    """The first table of each task, as `rich` shows it; all others are in the report's files.

    Args:
        rows: as `orchestrator.results.read_rows` returns them.
    """
    lines, _ = reported(with_gaps(prepare(rows)))
    first: dict[str, Table] = {}
    for table in build_tables(lines):
        first.setdefault(table.task, table)
    return [_grid(table) for table in first.values()]


def _grid(table: Table) -> Group:
    titles = header(table)
    grid = Grid(title=escape(table.title), title_justify="left")
    for place, title in enumerate(titles):
        grid.add_column(escape(title), justify="left" if place == 0 else "right", no_wrap=place == 0)
    said = []
    for block in table.blocks:
        grid.add_section()
        grid.add_row(f"[italic]{escape(block.title)}[/italic]")
        for row in body(table, block):
            grid.add_row(*(escape(cell) for cell in row.cells), style="bold" if row.best else None)
        said += [f"[italic]{escape(block.title)}.[/italic] {escape(' '.join(remarks(block)))}"]
    return Group(grid, *said)
