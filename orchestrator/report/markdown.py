"""Tables as Markdown."""

from __future__ import annotations

from tabulate import tabulate

from orchestrator.report.captions import caption
from orchestrator.report.layout import body, header
from orchestrator.report.remarks import remarks
from orchestrator.report.tables import Table


def table_markdown(table: Table) -> str:
    """A heading, the table with its blocks, its caption, and what is to be said of each block."""
    titles = header(table)
    rows: list[list[str]] = []
    for block in table.blocks:
        rows.append([f"*{escape(block.title)}*", *([""] * (len(titles) - 1))])
        for row in body(table, block):
            cells = [escape(cell) for cell in row.cells]
            rows.append([f"**{cell}**" if row.best and cell else cell for cell in cells])
    align = ["left", *(["right"] * (len(titles) - 1))]
    grid = tabulate(rows, [escape(t) for t in titles], tablefmt="pipe", colalign=align, disable_numparse=True)
    said = [
        f"- *{escape(block.title)}.* {escape(' '.join(remarks(block)))}" for block in table.blocks if remarks(block)
    ]
    return "\n".join([f"### {escape(table.title)}", "", grid, "", escape(caption(table)), "", *said, ""])


def escape(text: str) -> str:
    """Text that Markdown shows as it is: `D_f` stays, names with underscores and pipes do not turn into markup."""
    for character in "\\*_|<`":
        text = text.replace(character, f"\\{character}")
    return text
