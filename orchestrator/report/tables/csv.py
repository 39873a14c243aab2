"""Tables as CSV that a spreadsheet may open: one row a block, line and measure, at full precision."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from orchestrator.report.tables.columns import quality_of
from orchestrator.report.tables.model import Block, Line, Table

FORMULA = r"^[=+\-@\t\r]"  # a spreadsheet runs a cell that begins like this, and names are input


def spreadsheet_csv(frame: pd.DataFrame) -> bytes:
    """Return CSV in which texts that a spreadsheet would run as a formula begin with an apostrophe."""
    texts = frame.select_dtypes(exclude="number")
    guarded = texts.apply(lambda column: column.map(_guarded))
    return str(frame.assign(**{str(name): guarded[name] for name in texts}).to_csv(index=False)).encode()


def _guarded(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and re.match(FORMULA, value) else value


def tidy(table: Table) -> pd.DataFrame:
    """Make one row for each block, line and measure; `mean`, `low` and `high` are in `unit`, spread over `over`."""
    found = []
    for block in table.blocks:
        for line in block.lines:
            lead = {"table": table.name, "task": table.task, "backbones": " ".join(table.backbones)} | _lead(
                table, block, line
            )
            tail = _tail(block, line)
            for measure in quality_of(table.rows).tidy:
                summary = line.summaries[measure.column]
                values = {name: measure.shown(getattr(summary, name)) for name in ("mean", "low", "high")}
                what = {"measure": measure.column, "unit": measure.unit}
                found.append(lead | what | values | {"spread": summary.spread, "n": summary.n} | tail)
    return pd.DataFrame(found)


def _lead(table: Table, block: Block, line: Line) -> dict[str, Any]:
    ratios = sorted(block.rows["requested_forget_ratio"].dropna().unique())
    return {
        "training": block.training, "unlearning": block.kind, "forget_rule": block.rows["forget_rule"].iloc[0],
        "sequence": table.sequence, "request": block.request or None,
        "requested_forget_ratios": " ".join(f"{ratio:g}" for ratio in ratios), "method": line.method,
        "superloss": line.superloss, "label": line.label,
    }  # fmt: skip


def _tail(block: Block, line: Line) -> dict[str, Any]:
    return {
        "over": block.over, "backbones_done": line.coverage.backbones,
        "backbones_planned": line.coverage.planned_backbones, "seeds_done": sum(line.coverage.seeds),
        "seeds_planned": sum(line.coverage.planned_seeds), **line.flags, "best": line.best,
    }  # fmt: skip
