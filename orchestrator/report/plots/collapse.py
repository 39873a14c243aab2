"""Plot of collapse: each line's share of D_t in one class, with its accuracy and a constant predictor's."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.report.plots.style import GRAY, figure, legend, marks, styled, wrapped
from orchestrator.report.tables.columns import CONSTANT, ONE_CLASS, TEST, Measure
from orchestrator.report.tables.model import Block, Line, Table


def has_collapsed(table: Table) -> bool:
    """Whether a run of the table gives one answer to nearly everything, and was measured for it."""
    return any(line.flags["collapsed"] and line.has(ONE_CLASS) for block in table.blocks for line in block.lines)


@styled
def collapse(table: Table) -> Figure:
    """Draw a panel a block, a row a line: the bar is the share of D_t in one class, the dot the accuracy on D_t.

    The dashed line is the accuracy of always answering the most frequent class of D: bars at 100 % with their dot on it
    are constant predictors.
    """
    most = max(len(block.lines) for block in table.blocks)
    made, axes = figure((5.2, 1.2 + 0.27 * most), len(table.blocks), beside=1.9)
    styles = marks([line for block in table.blocks for line in block.lines])
    for ax, block in zip(axes, table.blocks, strict=True):
        for place, line in enumerate(block.lines):
            if line.has(ONE_CLASS):
                _row(ax, place, line, styles[line.variant].color)
        constant = _constant(block)
        if not np.isnan(constant):
            ax.axvline(constant, color="black", linestyle="--", linewidth=0.9, label="a constant predictor's accuracy")
        ax.set_yticks(range(len(block.lines)), [wrapped(line.label, 44) for line in block.lines], fontsize=7.5)
        ax.set(ylim=(len(block.lines) - 0.4, -0.6), xlim=(0, 103), xlabel="% of $D_t$")
        ax.grid(axis="y", visible=False)
        ax.set_title(wrapped(block.title))
    legend(made, axes, "bars and dots: means; whiskers: 95 % t-interval, range of two")
    return made


def _row(ax: Axes, place: int, line: Line, color: str) -> None:
    share, reach = _shown(line, ONE_CLASS)
    ax.barh(place, share, height=0.66, color=color, alpha=0.35, linewidth=0, label="predicted as one class")
    ax.errorbar(share, place, xerr=reach, color=GRAY, elinewidth=0.8, capsize=2)
    accuracy, reach = _shown(line, TEST)
    ax.errorbar(
        accuracy, place, xerr=reach, color="black", marker="o", markersize=4.5, elinewidth=0.8, capsize=2,
        linestyle="none", label="accuracy",
    )  # fmt: skip


def _shown(line: Line, measure: Measure) -> tuple[float, list[list[float]] | None]:
    """Return the mean and the length of the whiskers, %, within 0 to 100; None for a single run."""
    summary = line.summaries[measure.column]
    mean = measure.shown(summary.mean)
    if np.isnan(summary.low):
        return mean, None
    low, high = max(0.0, measure.shown(summary.low)), min(100.0, measure.shown(summary.high))
    return mean, [[max(0.0, mean - low)], [max(0.0, high - mean)]]


def _constant(block: Block) -> float:
    return float(CONSTANT.shown(block.rows[CONSTANT.column].mean()))
