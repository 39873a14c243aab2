"""Requests that were chosen to harm D_t, next to random ones of the same size: errors by forget ratio and method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from orchestrator.evidence.paired import ALPHA, Paired, compare_paired, holm
from orchestrator.file_names import file_name
from orchestrator.report.charts.panels import Axes, panel_record, panels_chart
from orchestrator.report.frames.gaps import DECIMALS
from orchestrator.report.frames.summary import NOTHING, Summary, of_test, summarize, with_spread
from orchestrator.report.leaderboard.pieces import Piece
from orchestrator.report.leaderboard.ranking import Cell
from orchestrator.report.tables.markdown import escape, grid_markdown

HARMFUL, RANDOM = "harmful", "random"
APART = "†"
ABOUT = (
    "Error on D_t in %, n = {n}, ± as in All cells. More: harmful minus random in points, paired by seed; "
    f"{APART}: statistically distinguishable from 0 at 95 % (Holm over the lines and ratios). Per 1 %: points of error "
    "that the harmful request adds to Original's, for each percent of D that it names."
)


@dataclass(frozen=True)
class AtRatio:
    """One line at one forget ratio."""

    label: str
    method: str
    ratio: float
    random: Summary  # errors on D_t, in %
    harmful: Summary
    more: Paired  # harmful minus random
    cost: Summary  # points over Original's error, for each percent of D
    adjusted: float = float("nan")  # p after Holm's correction

    @property
    def text(self) -> str:
        """The difference, marked where it is statistically distinguishable from 0."""
        return with_spread(of_test(self.more)) + (f" {APART}" if self.adjusted < ALPHA else "")


def harm_by_ratio(cells: Sequence[Cell]) -> dict[str, list[AtRatio]]:
    """Compare both rules at each ratio, by task, backbone and training; only where a line ran with both.

    Original forgets nothing, so its two errors are equal.
    """
    sample = [cell for cell in cells if cell.block.kind == "sample"]
    found: dict[str, list[AtRatio]] = {}
    for cell in sample:
        rules = {
            str(other.block.rows["forget_rule"].iloc[0]): other for other in sample if _place(other) == _place(cell)
        }
        if str(cell.block.rows["forget_rule"].iloc[0]) == HARMFUL and RANDOM in rules:
            found[", ".join(_place(cell))] = _compared(cell, rules[RANDOM])
    return found


def harmful_pieces(cells: Sequence[Cell]) -> list[Piece]:
    """Write a section for each task and backbone: a chart over the ratios, a panel a line, and a table."""
    pieces: list[Piece] = []
    for name, own in harm_by_ratio(cells).items():
        ratios = sorted({one.ratio for one in own})
        at = {(one.label, one.ratio): one for one in own}
        titles, grid = ["Method"], []
        for ratio in ratios:
            titles += [f"{100 * ratio:.3g} %: random", "harmful", "more", "per 1 %"]
        for label in dict.fromkeys(one.label for one in own):
            texts = [_texts(at.get((label, ratio))) for ratio in ratios]
            grid.append([escape(text) for text in (label, *(text for four in texts for text in four))])
        pieces += [f"## {escape(f'Harm of chosen requests: {name}')}", "", _chart(name, own, ratios)]
        pieces += [grid_markdown([escape(title) for title in titles], grid), ""]
        pieces += [escape(ABOUT.format(n=max(one.harmful.n for one in own))), ""]
    return pieces


def _place(cell: Cell) -> tuple[str, ...]:
    training = () if cell.block.training == "standard" else (cell.block.training,)
    return (cell.table.task, cell.table.backbones[0], *training)


def _compared(harmful: Cell, random: Cell) -> list[AtRatio]:
    errors = [_errors(cell.block.rows) for cell in (random, harmful)]
    lines = [line for line in harmful.block.lines if any(line.variant in own for own, _ in errors[0])]
    original = next((line.variant for line in lines if line.method == "original"), "")
    found = []
    for ratio in sorted({ratio for own in errors for _, ratio in own}):
        before = errors[1].get((original, ratio), pd.Series(dtype=float))
        for line in lines:
            less, more = (own.get((line.variant, ratio), pd.Series(dtype=float)) for own in errors)
            both = (more - less).round(DECIMALS).to_numpy(dtype=float)
            cost = ((more - before) / (100 * ratio)).to_numpy(dtype=float)
            found.append(
                AtRatio(
                    line.label,
                    line.method,
                    ratio,
                    summarize(less),
                    summarize(more),
                    compare_paired(both),
                    summarize(cost),
                )
            )
    tested = [one for one in found if one.method != "original"]
    adjusted = dict(zip(map(id, tested), holm([one.more.p for one in tested]), strict=True))
    return [replace(one, adjusted=adjusted.get(id(one), np.nan)) for one in found]


def _errors(rows: pd.DataFrame) -> dict[tuple[str, float], pd.Series[float]]:
    """Return errors on D_t in %, by seed, for each line and ratio."""
    done = rows[rows["status"] == "done"].groupby(["variant", "requested_forget_ratio"])
    return {
        (str(variant), float(ratio)): 100 * (1 - own.groupby("seed")["test_accuracy"].mean())  # type: ignore[arg-type]
        for (variant, ratio), own in done
    }


def _texts(one: AtRatio | None) -> list[str]:
    if one is None:
        return [NOTHING] * 4
    if one.method == "original":
        return [with_spread(one.random), with_spread(one.harmful), NOTHING, NOTHING]
    return [with_spread(one.random), with_spread(one.harmful), one.text, with_spread(one.cost, 2)]


def _chart(name: str, own: Sequence[AtRatio], ratios: Sequence[float]) -> Piece:
    labels = dict.fromkeys(one.label for one in own if one.method != "original")
    records = [
        panel_record(label, series, 100 * one.ratio, found)
        for label in labels
        for series in (HARMFUL, RANDOM)
        for one in own
        for found in [one.harmful if series == HARMFUL else one.random]
        if one.label == label and found.n
    ]
    text = "Error on D_t over the share of D that is forgotten; bars: 95 % t-interval over seeds, range of two."
    axes = Axes("forgotten (% of D)", "error on D_t (%)", [100 * ratio for ratio in ratios])
    return panels_chart(file_name("harm", name), f"Harm of chosen requests, {name}", text, records, axes)
