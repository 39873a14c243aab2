"""Tables as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd
from tabulate import tabulate

from orchestrator.report.frames.tuned import mixture
from orchestrator.report.tables.caption import caption
from orchestrator.report.tables.cells import Row, body, header
from orchestrator.report.tables.model import Table
from orchestrator.report.tables.notes import baselines, block_notes
from orchestrator.report.tables.significance import headline


def table_markdown(table: Table) -> str:
    """Format a heading, the table with its blocks, its caption, and the notes of each block."""
    titles = header(table)
    rows: list[list[str]] = []
    said = [escape(baselines(table.rows)), ""]
    for block in table.blocks:
        rows.append([f"*{escape(headline(block))}*", *([""] * (len(titles) - 1))])
        for row in body(table, block):
            rows.append([set_cell(escape(cell), place, row) for place, cell in enumerate(row.cells)])
        said += [f"- *{escape(block.title)}*", *(f"  - {escape(note.text)}" for note in block_notes(block))]
    grid = grid_markdown([escape(title) for title in titles], rows)
    lead = [escape(mixed), ""] if (mixed := mixture(table.rows)) else []
    return "\n".join([f"### {escape(table.title)}", "", *lead, grid, "", escape(caption(table)), "", *said, ""])


def set_cell(cell: str, place: int, row: Row) -> str:
    """Format a cell of a row as bold, italic (for gray) or plain."""
    return f"**{cell}**" if place in row.bold else f"*{cell}*" if place in row.gray else cell


def grid_markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table of cells that are already Markdown; the first column is flush left."""
    align = ["left", *(["right"] * (len(titles) - 1))]
    return tabulate(rows, titles, tablefmt="pipe", colalign=align, disable_numparse=True)


def escape(text: str) -> str:
    """Escape text for Markdown; code between backticks stays code, and an underscore inside a word (`D_f`) plain."""
    return re.sub(
        r"`[^`\n]+`|[\\*|<`]|(?<!\w)_|_(?!\w)",
        lambda found: found[0].replace("|", r"\|") if len(found[0]) > 1 else rf"\{found[0]}",
        text,
    )


def provenance(rows: pd.DataFrame) -> list[str]:
    """List the code, versions and devices that the rows come from, as a section."""
    kept = {"git_commit": "code", "package_version": "package", "torch_version": "torch", "device": "devices"}
    said = [f"- {title}: {', '.join(v)}" for name, title in kept.items() if (v := sorted(set(rows[name]) - {""}))]
    return ["## Provenance", "", *said, ""] if said else []
