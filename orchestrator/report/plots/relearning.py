"""The relearning attack as curves: accuracy on the unseen part of D_f by epoch, a panel a block and k."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.plots.style import figure, legend, marks, styled, wrapped
from orchestrator.report.tables.model import Block, Table


def relearning_plot(table: Table, curves: pd.DataFrame) -> Figure | None:
    """Draw the mean over a line's runs; Retrain is dashed, and what rises above it remembers. None without curves.

    Args:
        table: of a task.
        curves: of `probes.relearning_curves`.
    """
    own = curves[curves["trial_id"].isin(table.rows["trial_id"])]
    after = own[(own["epoch"] > 0) & own["accuracy"].notna()]
    panels = []
    for block in table.blocks:
        of_block = own[own["trial_id"].isin(block.rows["trial_id"])]
        measured = after[after["trial_id"].isin(of_block["trial_id"])]["forgotten"]
        panels += [(block, int(k), of_block[of_block["forgotten"] == k]) for k in sorted(measured.unique())]
    return _drawn(table, panels) if panels else None


@styled
def _drawn(table: Table, panels: list[tuple[Block, int, pd.DataFrame]]) -> Figure:
    lines = max(len(block.lines) for block in table.blocks)
    made, axes = figure((3.4, max(2.8, 0.3 * lines)), len(panels), beside=2.1)
    styles = marks([line for block in table.blocks for line in block.lines])
    for ax, (block, k, curves) in zip(axes, panels, strict=True):
        for line in block.lines:
            runs = curves[curves["trial_id"].isin(block.rows.loc[block.rows["variant"] == line.variant, "trial_id"])]
            means = 100 * runs.groupby("epoch")["accuracy"].mean()
            style = "--" if line.method in REFERENCES else "-"
            keywords = styles[line.variant].keywords | {"markersize": 5}
            ax.plot(means.index, means, label=line.label, linestyle=style, linewidth=1.3, **keywords)
        ax.set_xticks(sorted(curves["epoch"].unique()))
        ax.set(xlabel="epochs of relearning", ylabel="unseen $D_f$ accuracy (%)")
        ax.set_title(wrapped(f"{block.title}; k = {k}", 38))
    legend(made, axes, "means over runs")
    return made
