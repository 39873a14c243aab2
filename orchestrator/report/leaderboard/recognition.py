"""Recognizers on the page: canaries against those never trained on, and WER by speaker and group, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.report.evidence.recognition import recognition_columns
from orchestrator.report.evidence.table import column_cells
from orchestrator.report.leaderboard.ranking import Cell
from orchestrator.report.tables.markdown import escape, grid_markdown

ABOUT = (
    "Means over canaries within a seed, then over seeds; ± as in All cells, for one run the AUC's own 95 % interval "
    "over canaries. A good recognizer transcribes a secret that it receives: compare with canaries never trained on, "
    "and with Retrain; italic: Original and Retrain are not statistically distinguishable. More: 'Recognizers' in "
    "docs/evidence.md."
)


def recognition_markdown(cells: Sequence[Cell]) -> list[str]:
    """Write the section: tables for each cell whose trials tested canaries or stored transcripts; nothing without."""
    parts: list[str] = []
    for cell in cells:
        grids: list[str] = []
        for title, columns in recognition_columns(list(map(str, cell.means.by_seed.columns))).items():
            shown, texts = column_cells(columns, cell.block, cell.means)
            if shown:
                rows = [[escape(line.label), *texts[line.variant]] for line in cell.block.lines]
                grids += [grid_markdown([escape(title), *(escape(column.title) for column in shown)], rows), ""]
        parts += [f"### {escape(cell.name)}", "", *grids] if grids else []
    return ["## Recognizers: canaries and groups", "", *parts, escape(ABOUT), ""] if parts else []
