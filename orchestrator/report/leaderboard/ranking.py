"""All methods over all cells of a leaderboard: mean gap, mean rank, where each is closest, failures, and time."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from orchestrator.report.frames.gaps import DECIMALS, TASK_LOSS, lost_against_original, reference_ids
from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.frames.summary import BlockMeans, Summary, summarize
from orchestrator.report.tables.columns import DIFFERENCE_FORGET, GAP
from orchestrator.report.tables.model import FLAGS, Block, Line, Table, contenders
from orchestrator.report.tables.significance import verdict

Key = TypeVar("Key", bound=Hashable)
SHARE = "seconds_share"
"""Charged seconds of a run over those of its Retrain."""
EXCESS = "judged_excess"
"""Memorization recovery of runs that lowered D_f by `LEAST_LOST` or more: of less it is a quotient of noise."""
LEAST_LOST = 0.1


@dataclass(frozen=True)
class Cell:
    """One task and backbone with one kind of scenario, on which methods may be compared."""

    table: Table
    means: BlockMeans  # of the gap, of evidence, and of the share of seconds

    @property
    def block(self) -> Block:
        """The table's only block."""
        return self.table.blocks[0]

    @property
    def name(self) -> str:
        """`espeak_keywords, whisper_nano: Sample Unlearning (5 % of D)`."""
        return f"{self.table.task}, {self.table.backbones[0]}: {self.block.title}"

    @property
    def forgettable(self) -> bool:
        """Whether Original classifies D_f better than Retrain by more than noise (the rule of `significance`)."""
        return verdict(self.block) == "above"

    def gap(self, variant: str) -> float:
        """Return the mean gap of a line; NaN if it is not compared (a run is missing, diverged or failed)."""
        return next((found.gap for found in contenders(self.block.lines) if found.variant == variant), float("nan"))

    def original_gap(self) -> float:
        """Return the mean gap of doing nothing; NaN if Original has none."""
        return next((line.gap for line in self.block.lines if line.method == "original"), float("nan"))


@dataclass(frozen=True)
class RankedLine:
    """One line over all cells."""

    line: Line
    gap: Summary  # over seeds, of means over cells
    rank: Summary  # over cells
    rank_forgettable: Summary  # over those with something to forget
    closest: int  # cells
    closer_than_original: int
    compared: int
    flags: dict[str, int]  # runs
    out_of_budget: int  # runs that the budget ended
    share: Summary  # over seeds, of means over cells
    task_loss: Summary  # over seeds, of means over cells; in points
    excess: Summary  # over those cells with something to forget in which every run lowered D_f enough
    cells: int  # of its kinds of training


def with_seconds_share(rows: pd.DataFrame) -> pd.DataFrame:
    """Add `SHARE`."""
    seconds = rows.drop_duplicates("trial_id").set_index("trial_id")["optimization_seconds"]
    return rows.copy().assign(  # copied: many columns were added one by one
        **{SHARE: rows["optimization_seconds"].to_numpy() / seconds.reindex(reference_ids(rows)).to_numpy()}
    )


def with_excess(rows: pd.DataFrame, excess: str) -> pd.DataFrame:
    """Add `EXCESS` from a column of `probes`; all NaN if there is none of that name."""
    lost = lost_against_original(rows, rows["forget_accuracy"])
    found = rows[excess] if excess in rows else pd.Series(np.nan, index=rows.index)
    return rows.assign(**{EXCESS: found.where(lost >= LEAST_LOST)})


def ranking(cells: Sequence[Cell]) -> list[RankedLine]:
    """Order lines: Original and Retrain, then the methods by their mean rank."""
    lines = {line.variant: line for cell in reversed(cells) for line in cell.block.lines}
    methods = [key for key, line in lines.items() if line.method not in REFERENCES]
    kinds = {key: {cell.block.training for cell in _of_its_trainings(cells, key)} for key in methods}
    ranks = pd.DataFrame({place: _ranks(cell, kinds) for place, cell in enumerate(cells)}, index=methods)
    worth = [place for place, cell in enumerate(cells) if cell.forgettable]
    found = [_ranked(cells, line, ranks, worth) for line in lines.values()]
    found.sort(
        key=lambda s: (REFERENCES.index(s.line.method) if s.line.method in REFERENCES else 2, s.rank.mean, s.line.label)
    )
    return found


def over_cells(cells: Sequence[Cell], line: str, column: str) -> Summary:
    """Average over all cells within a seed, then over seeds; a seed counts when it has every cell."""
    units = {place: cell.means.units(line, "seeds")[column].droplevel("backbone") for place, cell in enumerate(cells)}
    return summarize(pd.DataFrame(units).dropna().mean(axis=1).to_numpy())


def original_minus_retrain_over_cells(cells: Sequence[Cell]) -> Summary:
    """Subtract Retrain from Original on D_f, in points, and average as `over_cells` does."""
    original = next((line.variant for cell in cells for line in cell.block.lines if line.method == "original"), "")
    return over_cells(cells, original, DIFFERENCE_FORGET.column)


def _ranked(cells: Sequence[Cell], line: Line, ranks: pd.DataFrame, worth: Sequence[int]) -> RankedLine:
    key = line.variant
    own_cells = _of_its_trainings(cells, key)
    own = ranks.loc[key] if key in ranks.index else pd.Series(dtype=float)
    gaps = np.array([cell.gap(key) for cell in cells])
    theirs = [there for cell in cells for there in cell.block.lines if there.variant == key]
    return RankedLine(
        line=line,
        gap=over_cells(own_cells, key, GAP.column),
        rank=summarize(own.to_numpy()),
        rank_forgettable=summarize(own.reindex(list(worth)).to_numpy()),
        closest=sum(there.best for there in theirs),
        closer_than_original=int((gaps < np.array([cell.original_gap() for cell in cells])).sum()),
        compared=int((~np.isnan(gaps)).sum()),
        flags={flag: sum(there.flags[flag] for there in theirs) for flag in FLAGS},
        out_of_budget=sum(
            int(((cell.block.rows["variant"] == key) & (cell.block.rows["stop_reason"] == "budget")).sum())
            for cell in cells
        ),
        share=over_cells(own_cells, key, SHARE),
        task_loss=over_cells(own_cells, key, TASK_LOSS),
        excess=summarize(_excess(cells[place], key) for place in worth),
        cells=len(own_cells),
    )


def _of_its_trainings(cells: Sequence[Cell], line: str) -> list[Cell]:
    """Return the cells of the trainings after which the line is run."""
    kinds = {cell.block.training for cell in cells if any(there.variant == line for there in cell.block.lines)}
    return [cell for cell in cells if cell.block.training in kinds]


def _excess(cell: Cell, line: str) -> float:
    """Average over seeds; NaN if the line is not compared, or a run has none."""
    values = cell.means.units(line, "seeds")[EXCESS]
    return float(values.mean(skipna=False)) if not np.isnan(cell.gap(line)) else float("nan")


def _ranks(cell: Cell, kinds: Mapping[str, Set[str]]) -> pd.Series[float]:
    """Rank gaps: 1 for the smallest, equals share theirs, and lines that are not compared share the last ranks.

    A line has no rank in cells of a training that it is not run after."""
    gaps = pd.Series({line: cell.gap(line) for line, own in kinds.items() if cell.block.training in own}, dtype=float)
    return pd.Series(rankdata(gaps.fillna(np.inf)), index=gaps.index)


def closest_to(found: Mapping[Key, Summary], target: float | None) -> set[Key]:
    """Return the keys whose means are closest to the target, of those with the most values; none without a target."""
    most = max((one.n for one in found.values()), default=0)
    if target is None or not most:
        return set()
    away = {key: round(abs(one.mean - target), DECIMALS) for key, one in found.items() if one.n == most}
    return {key for key, distance in away.items() if distance == min(away.values())}
