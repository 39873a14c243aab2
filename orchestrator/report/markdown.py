"""Tables as Markdown."""

from __future__ import annotations

import re

from tabulate import tabulate

from orchestrator.report.captions import caption
from orchestrator.report.forgettable import headline
from orchestrator.report.layout import Row, body, header
from orchestrator.report.remarks import baselines, remarks
from orchestrator.report.tables import Table


def table_markdown(table: Table) -> str:
    """A heading, the table with its blocks, its caption, and what is to be said of each block."""
    titles = header(table)
    rows: list[list[str]] = []
    said = [escape(baselines(table.rows)), ""]
    for block in table.blocks:
        rows.append([f"*{escape(headline(block))}*", *([""] * (len(titles) - 1))])
        for row in body(table, block):
            rows.append([_set(escape(cell), place, row) for place, cell in enumerate(row.cells)])
        said += [f"- *{escape(block.title)}*", *(f"  - {escape(sentence)}" for sentence in remarks(block))]
    align = ["left", *(["right"] * (len(titles) - 1))]
    grid = tabulate(rows, [escape(t) for t in titles], tablefmt="pipe", colalign=align, disable_numparse=True)
    return "\n".join([f"### {escape(table.title)}", "", grid, "", escape(caption(table)), "", *said, ""])


def _set(cell: str, place: int, row: Row) -> str:
    return f"**{cell}**" if place in row.bold else f"*{cell}*" if place in row.grey else cell


def escape(text: str) -> str:
    """Text that Markdown shows as it is; an underscore inside a word (`D_f`) is no markup and stays."""
    return re.sub(r"[\\*|<`]|(?<!\w)_|_(?!\w)", r"\\\g<0>", text)
