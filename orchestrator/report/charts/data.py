"""What the charts of a task share: records of the lines of each block, and of the seeds or backbones behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.frames.summary import Summary, with_spread
from orchestrator.report.frames.training_cost import STANDARD
from orchestrator.report.tables.columns import (
    BUDGET_USED,
    FORGET,
    FORGOTTEN_BEFORE,
    GAP,
    SECONDS,
    TEST,
    TEST_KEPT,
    Measure,
)
from orchestrator.report.tables.model import Block, Line, Table

DIGITS = 3
MOST_UNITS = 60  # dots of one line: more of them hide each other


def block_key(block: Block) -> str:
    """Return what a block has in common with its counterparts in the tables of single backbones."""
    rule = str(block.rows["forget_rule"].iloc[0])
    named = rule not in ("", "random")
    parts = [rule] if block.kind == "sample" and named else [block.kind, *([rule] if named else [])]
    parts += [block.training] if block.training != STANDARD else []
    parts += [f"request-{block.request}"] if block.request else []
    return "-".join(parts)


def utility(block: Block) -> Measure:
    """Return the accuracy on D_t that forgetting must not cost: of the kept classes in class unlearning."""
    return TEST_KEPT if block.kind == "class" else TEST


def views(tables: Sequence[Table]) -> list[Table]:
    """Return the tables of a task between which its charts switch: the mean over backbones, and each backbone."""
    return [one for one in tables if one.sequence == tables[0].sequence and not one.by_ratio]


def counterparts(tables: Sequence[Table], block: Block) -> list[tuple[int, Block]]:
    """Return what is shown for a block in each view that has it, with the place of the view."""
    key = block_key(block)
    return [(place, one) for place, table in enumerate(tables) for one in table.blocks if block_key(one) == key]


def records(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Make the records of tables; `view` is the table's place among them, `of` is `mean` or `unit`."""
    return [*means(tables), *(record for place, table in enumerate(tables) for record in _all_units(place, table))]


def means(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Make those of means only."""
    return [
        record for place, table in enumerate(tables) for block in table.blocks for record in _block(place, table, block)
    ]


def _block(view: int, table: Table, block: Block) -> Iterator[dict[str, Any]]:
    measures, front = _measures(table, block), pareto_front(block)
    for line in block.lines:
        found: dict[str, Any] = {}
        for name, measure in measures.items():
            found |= spread(name, line.summaries[measure.column], measure)
        n = line.summaries[GAP.column].n or line.summaries[FORGET.column].n
        more: dict[str, Any] = {"front": True} if line.label in front else {}
        more |= {"flags": line.flags_text} if line.flags_text else {}
        yield {**_lead(view, table, block, line), "of": "mean", **found, "n": n, **more}


def _all_units(view: int, table: Table) -> Iterator[dict[str, Any]]:
    for block in table.blocks:
        for line in block.lines:
            yield from _units(block, line, _measures(table, block), _lead(view, table, block, line))


def _measures(table: Table, block: Block) -> dict[str, Measure]:
    found = {"forget": FORGET, "test": utility(block), "gap": GAP, "seconds": SECONDS, "budget": BUDGET_USED}
    return found | ({"before": FORGOTTEN_BEFORE} if table.sequence else {})


def _lead(view: int, table: Table, block: Block, line: Line) -> dict[str, Any]:
    lead = {"view": view, "block": block_key(block), "line": line.label, "role": role(line)}
    return lead | ({"at": 100 * ratio(block)} if table.by_ratio else {"at": block.request} if table.sequence else {})


def _units(block: Block, line: Line, measures: dict[str, Measure], lead: dict[str, Any]) -> Iterator[dict[str, Any]]:
    units = block.means.units(line.variant, block.over)
    if not 1 < len(units) <= MOST_UNITS:
        return
    for _, values in units.iterrows():
        own = {m: rounded(measure.shown(float(values[measure.column]))) for m, measure in measures.items()}
        yield {**lead, "of": "unit", **{m: value for m, value in own.items() if value is not None}}


def role(line: Line) -> str:
    """Return `retrain`, `original`, `superloss` or `method`."""
    return line.method if line.method in REFERENCES else "superloss" if line.superloss else "method"


def spread(name: str, summary: Summary, measure: Measure) -> dict[str, Any]:
    """Return mean, ends of the interval, and all of it as text; nothing if there is no value."""
    if not summary.n:
        return {}
    mean, low, high = (rounded(measure.shown(value)) for value in (summary.mean, summary.low, summary.high))
    if measure.unit in ("%", "points", "s") and low is not None:
        low = max(0.0, low)  # an interval may reach below what there can be
    if measure.unit == "%" and high is not None:
        high = min(100.0, high)
    text = with_spread(summary, measure.digits, measure.scale)
    ends = {f"{name}_low": low, f"{name}_high": high} if low is not None else {}
    return {name: mean, **ends, f"{name}_text": text}


def rounded(value: float) -> float | None:
    """Round for a small file; None if there is no value."""
    return None if np.isnan(value) else round(float(value), DIGITS)


def ratio(block: Block) -> float:
    """Return the forget ratio that a block requests."""
    return float(block.rows["requested_forget_ratio"].iloc[0])


def pareto_front(block: Block) -> set[str]:
    """Return the labels of methods that no other beats both in D_t and in closeness to Retrain's D_f."""
    target = next((line for line in block.lines if line.method == "retrain" and line.has(FORGET)), None)
    measure = utility(block)
    if target is None:
        return set()
    wanted = target.summaries[FORGET.column].mean
    points = pd.DataFrame(
        {
            "label": [line.label for line in block.lines],
            "away": [abs(line.summaries[FORGET.column].mean - wanted) for line in block.lines],
            "utility": [line.summaries[measure.column].mean for line in block.lines],
            "method": [line.method not in REFERENCES for line in block.lines],
        }
    )
    points = points[points["method"] & points["away"].notna() & points["utility"].notna()]
    points = points.sort_values(["away", "utility"], ascending=[True, False])
    best = points["utility"].cummax().shift(fill_value=-np.inf)
    return set(points.loc[points["utility"] > best, "label"])


def spread_name(blocks: Sequence[Block]) -> str:
    """Say what an interval spans, from the largest number of units that any mean has."""
    most = max((s.n for block in blocks for line in block.lines for s in line.summaries.values()), default=0)
    over = "backbones" if any(block.over == "backbones" for block in blocks) else "seeds"
    if most >= 3:
        return f"95 % t-interval over {over}"
    return f"range over 2 {over}" if most == 2 else f"no interval, of 1 {over[:-1]}"
