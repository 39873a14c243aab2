"""Pieces of the page: lines of Markdown, and charts, which are files next to it and part of its HTML."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.report.charts.chart import Chart
from orchestrator.report.tables.markdown import escape

Piece = str | Chart


def flattened(pieces: Sequence[Piece], stem: str) -> tuple[str, dict[str, Chart]]:
    """Return the Markdown, and its charts by the addresses of their files.

    Args:
        pieces: in the order of the page.
        stem: the page's name without its ending, in which the folder of its charts begins.
    """
    lines: list[str] = []
    charts: dict[str, Chart] = {}
    for piece in pieces:
        if isinstance(piece, str):
            lines.append(piece)
            continue
        address = f"{stem}-plots/{piece.name}.svg"
        charts[address] = piece
        lines += [f"![{escape(piece.title)}]({address})", "", escape(piece.text), ""]
    return "\n".join(lines), charts
