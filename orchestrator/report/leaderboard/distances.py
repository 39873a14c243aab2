"""Distances to Retrain next to the gap, over all cells: Jensen–Shannon on D_f and D_t, RMIA and U-LiRA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.frames.summary import Summary, summarize, with_spread
from orchestrator.report.leaderboard.ranking import Cell, RankedLine, closest_to, over_cells
from orchestrator.report.tables.columns import GAP
from orchestrator.report.tables.markdown import escape, grid_markdown


@dataclass(frozen=True)
class Distance:
    """A column: what it measures, and whether Retrain has a value of its own to be close to."""

    column: str
    title: str
    digits: int
    of_retrain: bool = False  # else 0 is the target


DISTANCES = (
    Distance(GAP.column, "Gap (points)", 2), Distance("js_retrain", "JS on D_f (nats)", 4),
    Distance("js_retrain_test", "JS on D_t (nats)", 4), Distance("rmia_auc", "RMIA AUC", 3, True),
    Distance("ulira_auc", "U-LiRA AUC", 3, True),
)  # fmt: skip
ABOUT = (
    "Means over cells within a seed, then over seeds (n in parentheses), ± as in All cells; each title says over how "
    "many cells with something to forget. Bold: the closest to Retrain, whose own value is the target of an AUC and 0 "
    "that of a distance. More: 'Distances' in docs/results.md."
)


def distances_markdown(cells: Sequence[Cell], ranked: Sequence[RankedLine]) -> list[str]:
    """Write the section; nothing if only the gap was stored, or no cell has anything to forget."""
    shown: list[tuple[Distance, list[Cell]]] = []
    for one in DISTANCES:
        own = [cell for cell in cells if cell.forgettable and _has(cell, one.column)]
        if own:
            shown.append((one, own))
    if not any(one.column != GAP.column for one, _ in shown):
        return []
    columns = [_texts(one, own, ranked) for one, own in shown]
    grid = [[escape(line.line.label), *texts] for line, *texts in zip(ranked, *columns, strict=True)]
    titles = [f"{one.title}, {len(own)} cell{'s' if len(own) > 1 else ''}" for one, own in shown]
    return ["## Distances to Retrain", "", grid_markdown(["Method", *titles], grid), "", escape(ABOUT), ""]


def _has(cell: Cell, column: str) -> bool:
    """Whether a method has the measure in a cell."""
    methods = {line.variant for line in cell.block.lines if line.method not in REFERENCES}
    of = cell.means.by_seed
    own = of[of.index.get_level_values("variant").isin(methods)]
    return column in own and bool(own[column].notna().any())


def _texts(one: Distance, cells: Sequence[Cell], ranked: Sequence[RankedLine]) -> list[str]:
    """Format a column; a line that is not in all of its cells has nothing."""
    found = [_over(cells, line, one.column) for line in ranked]
    target = next(
        (s.mean for s, line in zip(found, ranked, strict=True) if line.line.method == "retrain" and s.n), None
    )
    methods = {place: found[place] for place, line in enumerate(ranked) if line.line.method not in REFERENCES}
    closest = closest_to(methods, target if one.of_retrain else 0.0)
    texts = []
    for place, (summary, line) in enumerate(zip(found, ranked, strict=True)):
        if line.line.method == "retrain" and not one.of_retrain:
            texts.append("target")
            continue
        text = escape(with_spread(summary, one.digits) + (f" ({summary.n})" if summary.n else ""))
        texts.append(f"**{text}**" if place in closest else text)
    return texts


def _over(cells: Sequence[Cell], line: RankedLine, column: str) -> Summary:
    own = [cell for cell in cells if any(there.variant == line.line.variant for there in cell.block.lines)]
    if len(own) < len(cells) or any(column not in cell.means.by_seed for cell in own):
        return summarize([])
    return over_cells(own, line.line.variant, column)
