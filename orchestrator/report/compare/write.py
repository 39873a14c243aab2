"""A comparison in the terminal, and as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from orchestrator.report.compare.differences import Comparison
from orchestrator.report.compare.text import grids, sentences
from orchestrator.report.html.page import template
from orchestrator.report.html.scripts import content_policy, own_script, style_sheet
from orchestrator.results.storage import Folder

LISTED = 30  # lines of a table in the terminal; the page has more


def comparison_tables(found: Comparison) -> list[Any]:
    """Render a comparison for `rich`."""
    shown: list[Any] = [*map(escape, sentences(found)), ""]
    for grid in grids(found):
        table = Table(title=escape(grid.title), title_justify="left")
        for title in grid.titles:
            table.add_column(escape(title), overflow="fold")
        for place, row in enumerate(grid.rows[:LISTED]):
            table.add_row(*map(escape, row), style="bold" if place in grid.marked else None)
        shown.append(table)
        if len(grid.rows) > LISTED:
            shown.append(f"{len(grid.rows) - LISTED} more are in the page.")
        shown += [escape(grid.note)] if grid.note else []
    return shown


def write_comparison(found: Comparison, page: Path) -> Path:
    """Write the page; return its path."""
    text = template("compare.html.j2").render(
        title=" and ".join(source.name for source in found.sources),
        policy=content_policy([own_script()]),
        style=style_sheet(),
        script=own_script(),
        sources=[(source.name, source.location) for source in found.sources],
        summary=sentences(found),
        grids=grids(found),
    )
    Folder(page.parent.as_uri()).write_bytes(page.name, text.encode())
    return page
