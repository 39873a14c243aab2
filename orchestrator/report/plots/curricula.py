"""Plot of curricula against their controls: each line's gap to Retrain minus that of its control."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.report.frames.summary import Summary
from orchestrator.report.plots.style import GRAY, figure, styled, wrapped


@styled
def differences(found: pd.DataFrame) -> Figure:
    """Draw a panel for each task and kind of unlearning, a row a line: its gap minus its control's, in points.

    Left of 0 is closer to Retrain than the control. Filled dots have an interval that does not contain 0.

    Args:
        found: of `curricula.against_controls`.
    """
    panels = [(names, part) for names, part in found.groupby(["task", "unlearning"], sort=False)]
    most = max(len(part) for _, part in panels)
    made, axes = figure((5.0, 1.2 + 0.42 * max(most, 2)), len(panels))
    for ax, ((task, kind), part) in zip(axes, panels, strict=True):
        for place, gap in enumerate(part["gap_mean"]):
            _row(ax, place, gap)
        ax.axvline(0, color="black", linewidth=0.9)
        names = [f"{line} − {control}" for line, control in zip(part["line"], part["control_name"], strict=True)]
        ax.set_yticks(range(len(names)), [wrapped(name, 44) for name in names], fontsize=7)
        ax.set(ylim=(len(names) - 0.4, -0.6), xlabel="gap minus the control's gap (points)")
        ax.grid(axis="y", visible=False)
        ax.set_title(wrapped("all, each seed's mean" if task == "all" else f"{task}, {kind}", 30))
    made.supxlabel("bars: 95 % t-interval over seeds, range of two", fontsize=7.5, color=GRAY)
    return made


def _row(ax: Axes, place: int, gap: Summary) -> None:
    if not gap.n:
        return
    known = not np.isnan(gap.low)
    reach = [[gap.mean - gap.low], [gap.high - gap.mean]] if known else None
    told = gap.spread == "95% t-interval" and not gap.low <= 0 <= gap.high
    ax.errorbar(
        gap.mean, place, xerr=reach, color="#0072B2", marker="o", markersize=5, elinewidth=1, capsize=2.5,
        linestyle="none", markerfacecolor="#0072B2" if told else "white",
    )  # fmt: skip
