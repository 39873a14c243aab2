"""Means over seeds, then over backbones, with their n, an interval, and what is missing; rates are pooled first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from orchestrator.evidence.paired import Paired
from orchestrator.report.frames.recognition import denominators

Unit = Literal["seeds", "backbones"]
NOTHING = "–"


def unit_name(unit: Unit, n: int) -> str:
    """Return the unit for a number of them: `1 seed`, `2 seeds`."""
    return ("seed" if unit == "seeds" else "backbone") if n == 1 else unit


@dataclass(frozen=True)
class Summary:
    """Mean of n values with its 95 % t-interval (n ≥ 3) or its range (n = 2)."""

    mean: float
    low: float
    high: float
    n: int
    spread: Literal["95% t-interval", "range", "none"]


def summarize(values: Iterable[float]) -> Summary:
    """Compute mean, spread and number of the values that are not NaN.

    The interval is mean ± t(0.975, n − 1) · s / √n with the sample standard deviation s (n − 1 in the denominator).
    """
    found = np.asarray([value for value in values if not np.isnan(value)], dtype=np.float64)
    n = len(found)
    if n == 0:
        return Summary(np.nan, np.nan, np.nan, 0, "none")
    mean = float(found.mean())
    if n == 1:
        return Summary(mean, np.nan, np.nan, 1, "none")
    if n == 2:
        return Summary(mean, float(found.min()), float(found.max()), n, "range")
    half = float(_t975(n - 1) * found.std(ddof=1) / np.sqrt(n))
    return Summary(mean, mean - half, mean + half, n, "95% t-interval")


def of_test(found: Paired) -> Summary:
    """Return the mean of a paired test with its interval, which excludes 0 where p < 5 %; none below three pairs."""
    return Summary(found.mean, found.low, found.high, found.n, "none" if np.isnan(found.low) else "95% t-interval")


def with_spread(summary: Summary, digits: int = 1, scale: float = 1.0) -> str:
    """Format as `12.3 ± 0.4` (95 % t-interval), `12.3 [12.0, 12.6]` (range of two), `12.3` (one value) or `–`."""
    if not summary.n:
        return NOTHING
    mean = f"{summary.mean * scale:.{digits}f}"
    if summary.spread == "95% t-interval":
        return f"{mean} ± {(summary.high - summary.mean) * scale:.{digits}f}"
    if summary.spread == "range":
        return f"{mean} [{summary.low * scale:.{digits}f}, {summary.high * scale:.{digits}f}]"
    return mean


def p_text(value: float) -> str:
    """Format a p-value to three digits, below them as a bound: `0.042`, `< 0.001`, or `–` for NaN."""
    return NOTHING if np.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


@cache
def _t975(degrees_of_freedom: int) -> float:
    return float(stats.t.ppf(0.975, degrees_of_freedom))


@dataclass(frozen=True)
class Coverage:
    """How much of what was planned a line's means contain."""

    backbones: int  # with at least one finished seed
    planned_backbones: int
    seeds: tuple[int, ...]  # finished, for each planned backbone
    planned_seeds: tuple[int, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.seeds == self.planned_seeds

    @property
    def seeds_text(self) -> str:
        """`5/5`, or `3–5/5` where backbones differ."""
        return f"{_span(self.seeds)}/{_span(self.planned_seeds)}"

    @property
    def backbones_text(self) -> str:
        """`2/2`."""
        return f"{self.backbones}/{self.planned_backbones}"


@dataclass(frozen=True)
class BlockMeans:
    """The runs of one block of a table, averaged over forget sets within each (line, backbone, seed)."""

    by_seed: pd.DataFrame  # index (line, backbone, seed); NaN where a measure is absent; complete seeds only
    planned: pd.Series[int]  # forget sets of each (backbone, seed)

    @classmethod
    def of(cls, block: pd.DataFrame, columns: Sequence[str], planned_seeds: Collection[int] = ()) -> BlockMeans:
        """Average a block.

        A seed counts only when all its forget sets (ratios, classes) are done: otherwise a method that diverged at 10 %
        would look better. Planned is what any line of the block has, finished or not, and `planned_seeds`. Rates of
        recognizers are not averaged: errors of all forget sets are divided by all their words.

        Args:
            block: rows with `line`, as `select.reported` returns them.
            columns: measures to average.
            planned_seeds: seeds expected for each backbone, even if no row has them yet.
        """
        cells = block.groupby(["variant", "backbone", "requested_forget_ratio", "seed"], dropna=False).size()
        widest = cells.groupby(level=["backbone", "requested_forget_ratio", "seed"], dropna=False).max()
        planned = widest.groupby(level=["backbone", "seed"]).sum()
        for backbone in block["backbone"].unique():
            for seed in planned_seeds:
                if (backbone, seed) not in planned.index:
                    planned.loc[(backbone, seed)] = 1
        finished = block[block["status"] == "done"]
        done = finished.groupby(keys := ["variant", "backbone", "seed"])
        size, there = done.size(), done[list(columns)].count()
        means = done[list(columns)].mean()
        for rate, count in denominators(block, columns).items():
            errors, whole = (
                finished.assign(_=finished[rate] * finished[count]).groupby(keys)["_"].sum(),
                done[count].sum(),
            )
            means[rate] = errors / whole.where(whole > 0)
        means = means.where(there.eq(size, axis=0))
        wanted = [int(planned.loc[(backbone, seed)]) for _, backbone, seed in means.index]
        return cls(means[size.to_numpy() == np.asarray(wanted, dtype=int)], planned.sort_index())

    @cached_property
    def _of_line(self) -> dict[str, pd.DataFrame]:
        return {str(line): part.droplevel("variant") for line, part in self.by_seed.groupby(level="variant")}

    def units(self, line: str, over: Unit) -> pd.DataFrame:
        """Return what is averaged for a line, one row a unit: its seeds, or its backbones (means over their seeds)."""
        mine = self._of_line.get(line, self.by_seed.iloc[:0].droplevel("variant"))
        return mine.groupby(level="backbone").mean() if over == "backbones" else mine

    def coverage(self, line: str) -> Coverage:
        """Count how much of the plan the line has."""
        finished = self.units(line, "seeds").groupby(level="backbone").size()
        planned = self.planned.groupby(level="backbone").size()
        seeds = tuple(int(finished.get(backbone, 0)) for backbone in planned.index)
        return Coverage(sum(n > 0 for n in seeds), len(planned), seeds, tuple(int(n) for n in planned))


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}–{high}"
