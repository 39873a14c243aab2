"""Plot the README's picture from the stored rows: each method's mean gap to Retrain over the cells of the leaderboard.

    python docs/results/plot_leaderboard.py docs/results/data/leaderboard.parquet docs/results/leaderboard.png

pandas reads these rows of version 0.1.0 as they are; `unlearn restore` refuses them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import CELL, prepare, reported
from orchestrator.report.frames.summary import Summary, summarize
from orchestrator.report.plots.style import png, styled

BLUE, GRAY = "#0072B2", "#6b6b6b"
RIGHT = 31.5  # percentage points


def mean_gaps(rows: pd.DataFrame) -> tuple[dict[str, Summary], int]:
    """Average each method's gap over the cells within a seed, then over seeds; also return the number of cells."""
    frame = with_gaps(reported(prepare(rows))[0])
    frame = frame[frame["method"] != "retrain"]
    by_seed = frame.groupby(["label", "seed"])["gap_mean"].mean()
    gaps = {str(label): summarize(values) for label, values in by_seed.groupby(level="label")}
    return gaps, len(frame[[name for name in CELL if name not in ("seed", "forget_classes")]].drop_duplicates())


@styled
@mpl.rc_context({"font.size": 11})
def ranking(gaps: dict[str, Summary], cells: int) -> Figure:
    """Draw a row for each method, smallest gap first, with its interval; Original as a line to compare with."""
    nothing = gaps["Original"]
    shown = sorted(((gap.mean, label) for label, gap in gaps.items() if label != "Original"), reverse=True)
    made = Figure(figsize=(8, 6.2), layout="constrained")
    ax = made.subplots()
    ax.axvspan(nothing.low, nothing.high, color=GRAY, alpha=0.15, linewidth=0)
    ax.axvline(nothing.mean, color=GRAY, linestyle="--", linewidth=1)
    top = len(shown) - 1
    ax.text(
        nothing.mean - 1.2, top, f"Original (forgets nothing): {nothing.mean:.1f}", color=GRAY, ha="right", va="center"
    )
    for place, (mean, label) in enumerate(shown):
        gap = gaps[label]
        ax.plot([max(gap.low, 0), gap.high], [place, place], color=BLUE, linewidth=1.6, alpha=0.55)
        ax.plot(mean, place, "o", color=BLUE, markersize=6.5)
        ax.text(RIGHT, place, f"{mean:.1f} ± {gap.high - mean:.1f}", ha="right", va="center", color="#333333")
    ax.set_yticks(range(len(shown)), [label for _, label in shown])
    ax.grid(axis="y", visible=False)
    ax.set_xticks(range(0, 26, 5))
    ax.set_xlim(0, RIGHT)
    ax.set_ylim(-0.7, len(shown) - 0.3)
    ax.set_xlabel("Mean gap to Retrain, percentage points (smaller is better)")
    ax.set_title(f"Means over {cells} cells, n = {nothing.n} seeds, ± 95 % t-interval", fontsize=12)
    return made


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_bytes(png(ranking(*mean_gaps(pd.read_parquet(source)))))
