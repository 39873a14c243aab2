"""Recognizers on a page: canaries against those never trained on, and WER by speaker and group, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.evidence.canary_tests import MASKED_EXPOSURE
from orchestrator.file_names import file_name
from orchestrator.report.charts.canaries import NO_MEMORY, canaries_chart
from orchestrator.report.charts.chart import Chart
from orchestrator.report.charts.data import spread_name
from orchestrator.report.evidence.recognition import GROUPS, canary_column, recognition_columns
from orchestrator.report.evidence.table import column_cells
from orchestrator.report.frames.summary import summarize
from orchestrator.report.leaderboard.pieces import Piece
from orchestrator.report.leaderboard.ranking import Cell
from orchestrator.report.tables.markdown import escape, grid_markdown

TITLE = "Recognizers: canaries and groups"
ABOUT = (
    "Means over canaries within a seed, then over seeds; ± as in All cells, for one run the AUC's own 95 % interval "
    "over canaries. A good recognizer transcribes a secret that it receives: compare with canaries never trained on, "
    "and with Retrain; italic: Original and Retrain are not statistically distinguishable. More: 'Recognizers' in "
    "docs/evidence.md."
)


def recognition_pieces(cells: Sequence[Cell]) -> list[Piece]:
    """Write the section: tables and a chart for each cell whose trials tested canaries or stored transcripts."""
    pieces: list[Piece] = []
    for cell in cells:
        grids: list[str] = []
        for title, columns in recognition_columns(list(map(str, cell.means.by_seed.columns))).items():
            shown, texts = column_cells(columns, cell.block, cell.means)
            if shown:
                rows = [[escape(line.label), *texts[line.variant]] for line in cell.block.lines]
                grids += [grid_markdown([escape(title), *(escape(column.title) for column in shown)], rows), ""]
        pieces += [escape(f"{cell.name}."), "", *grids, *_chart(cell)] if grids else []
    return [f"## {TITLE}", "", *pieces, escape(ABOUT), ""] if pieces else []


def _chart(cell: Cell) -> list[Chart]:
    columns = {title: canary_column(MASKED_EXPOSURE, group) for group, title in GROUPS.items()}
    there = {title: column for title, column in columns.items() if column in cell.means.by_seed}
    means = {line.variant: cell.means.units(line.variant, cell.block.over) for line in cell.block.lines}
    rows = [
        (line.label, title, summarize(means[line.variant][column].to_numpy()))
        for line in cell.block.lines
        for title, column in there.items()
    ]
    if not any(found.n for *_, found in rows):
        return []
    text = (
        f"{cell.name}. Bits of exposure on recordings whose secret is masked, mean over canaries and seeds; bars: "
        f"{spread_name([cell.block])}; dashed: the average without memory. No exposure is below 0, "
        "where the axis begins."
    )
    name = file_name("canaries", cell.name)
    return [canaries_chart(name, "Exposure of canaries, secret masked", text, "exposure (bits)", rows, NO_MEMORY)]
