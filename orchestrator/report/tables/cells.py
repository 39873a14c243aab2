"""A table as rows of plain text, before any markup: the one place where numbers are formatted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from orchestrator.report.frames.summary import NOTHING, with_spread
from orchestrator.report.tables.columns import GAP, Measure
from orchestrator.report.tables.model import Block, Line, Table
from orchestrator.report.tables.significance import is_uninformative


@dataclass(frozen=True)
class Row:
    """One printed row; the cells at `bold` and `gray` are to be set so."""

    cells: tuple[str, ...]
    bold: frozenset[int]
    gray: frozenset[int] = frozenset()  # their column cannot tell forgetting from noise here


def header(table: Table, *, latex: bool = False) -> list[str]:
    """Return column titles: Method, the measures, how many backbones and seeds, and flags of runs if there are any."""
    measures = [measure.latex if latex else measure.title for measure in table.columns]
    return [
        "Method",
        *measures,
        *(["Backbones"] if _averages(table) else []),
        "Seeds",
        *(["Runs"] if _flags(table) else []),
    ]


def body(table: Table, block: Block, spreads: Collection[Measure] | None = None) -> list[Row]:
    """Format the lines of a block, in the order of `header`; measures in `spreads` (all if None) show their spread."""
    rows = []
    gray = frozenset(1 + place for place, measure in enumerate(table.columns) if is_uninformative(block, measure))
    for line in block.lines:
        cells = [line.label, *(_cell(block, line, m, spread=spreads is None or m in spreads) for m in table.columns)]
        cells += [line.coverage.backbones_text] if _averages(table) else []
        cells += [line.coverage.seeds_text, *([line.flags_text] if _flags(table) else [])]
        # The best is best in its gap, not in each column.
        bold = {0, 1 + table.columns.index(GAP)} if line.best else set()
        rows.append(Row(tuple(cells), frozenset(bold), gray))
    return rows


def _cell(block: Block, line: Line, measure: Measure, *, spread: bool) -> str:
    if measure is GAP and line.method == "retrain":
        return "target"
    if not measure.applies_to(block.kind):
        return NOTHING
    summary = line.summaries[measure.column]
    if measure.unit == "s" or not spread:  # of times: backbones differ by design, and the CSV has it
        summary = replace(summary, spread="none")
    text = with_spread(summary, measure.digits, measure.scale)
    return f"{text} (n={summary.n})" if 0 < summary.n < line.units else text


def _averages(table: Table) -> bool:
    return any(block.over == "backbones" for block in table.blocks)


def _flags(table: Table) -> bool:
    return any(line.flags_text for block in table.blocks for line in block.lines)
