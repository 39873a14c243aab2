"""Plot of a search: the objective of every trial, and the best so far."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from orchestrator.file_names import file_name
from orchestrator.report.frames.select import with_modifiers
from orchestrator.report.plots.style import GRAY, figure, legend, styled

STAGES = ("study", "tune")
PANEL_COLUMNS = ["task", "backbone", "unlearning", "forget_rule"]


def searches(rows: pd.DataFrame) -> dict[tuple[str, str], Figure]:
    """Draw a figure for each task, backbone and kind of unlearning with a search, by title and stem of its file.

    Args:
        rows: as `select.prepare` returns them.
    """
    tuned = rows[rows["stage"].isin(STAGES)]
    found = {}
    for key, part in tuned.groupby(PANEL_COLUMNS):
        if part["objective"].notna().any():
            names = [str(name) for name in key if name]
            found[", ".join(names), file_name(*names)] = search_figure(part)
    return found


@styled
def search_figure(rows: pd.DataFrame) -> Figure:
    """Draw a panel for each searched method (with and without SuperLoss): trials as dots, the best so far as a line.

    Trials without an objective (diverged, failed) are crosses on the upper edge.
    """
    panels = [part for _, part in rows.groupby(["method", "superloss", "study_id"])]
    made, axes = figure((2.8, 2.9), len(panels), beside=1.7)
    finite = rows["objective"].dropna()
    low, high = float(finite.min()), float(finite.max())
    margin = 0.08 * (high - low) or 0.05
    for ax, part in zip(axes, panels, strict=True):
        _panel(ax, part.sort_values("study_trial"))
        ax.set_ylim(low - margin, high + margin)
        ax.set_xlabel("trial")
    legend(made, axes, "")
    rule = " or ".join(sorted(set(rows["objective_rule"]) - {""})) or "objective"
    axes[0].set_ylabel(f"{rule} (less is better)")
    first = rows.iloc[0]
    what = "training of originals" if first["stage"] == "study" else f"{first['unlearning']} unlearning"
    made.suptitle(f"{first['task']}, {first['backbone']}: search for {what}", fontsize=10)
    return made


def _panel(ax: Axes, trials: pd.DataFrame) -> None:
    number, objective = trials["study_trial"].to_numpy(), trials["objective"].to_numpy()
    lost = np.isnan(objective)
    ax.plot(number, objective, linestyle="none", marker="o", markersize=4, color="#0072B2", alpha=0.6, label="trial")
    if lost.any():
        ax.plot(
            number[lost], np.full(lost.sum(), 0.97), linestyle="none", marker="x", color=GRAY, markersize=5,
            transform=ax.get_xaxis_transform(), label="diverged or failed",
        )  # fmt: skip
    best = np.fmin.accumulate(objective)
    ax.step(number, best, where="post", color="black", linewidth=1.4, label="best so far")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    first = trials.iloc[0]
    label = first["method_label"] or first["method"]
    ax.set_title(with_modifiers(label, first.to_dict()), fontsize=9)
