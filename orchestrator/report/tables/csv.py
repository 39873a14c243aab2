"""Tables as tidy CSV: one row a block, line and measure, at full precision, with its n and flags."""

from __future__ import annotations

from typing import Any

import pandas as pd

from orchestrator.report.tables.columns import TIDY
from orchestrator.report.tables.model import Block, Line, Table


def tidy(table: Table) -> pd.DataFrame:
    """Make one row for each block, line and measure; `mean`, `low` and `high` are in `unit`, spread over `over`."""
    found = []
    for block in table.blocks:
        for line in block.lines:
            lead = {"table": table.name, "task": table.task, "backbones": " ".join(table.backbones)} | _lead(
                table, block, line
            )
            tail = _tail(block, line)
            for measure in TIDY:
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
