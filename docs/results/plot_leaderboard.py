"""Plot the README's picture from the stored rows: each method's mean gap to Retrain over the cells of the leaderboard.

python docs/results/plot_leaderboard.py docs/results/data/leaderboard_real.parquet docs/results/leaderboard_real.svg
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from orchestrator.report.charts.chart import Chart, chart, sized
from orchestrator.report.charts.style import COLORS, INK
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import CELL, prepare, reported
from orchestrator.report.frames.summary import Summary, summarize

RIGHT = 22.5  # percentage points


def mean_gaps(rows: pd.DataFrame) -> tuple[dict[str, Summary], int]:
    """Average each method's gap over the cells within a seed, then over seeds; also return the number of cells."""
    frame = with_gaps(reported(prepare(rows))[0])
    frame = frame[frame["method"] != "retrain"]
    by_seed = frame.groupby(["label", "seed"])["gap_mean"].mean()
    gaps = {str(label): summarize(values) for label, values in by_seed.groupby(level="label")}
    return gaps, len(frame[[name for name in CELL if name not in ("seed", "forget_classes")]].drop_duplicates())


def ranking(gaps: dict[str, Summary], cells: int) -> Chart:
    """Draw a row for each method, smallest gap first, with its interval; Original as a line to compare with."""
    nothing = gaps["Original"]
    shown = sorted((gap.mean, label) for label, gap in gaps.items() if label != "Original")
    records = [
        {"method": label, "gap": mean, "low": max(gaps[label].low, 0), "high": gaps[label].high, "right": RIGHT}
        | {"text": f"{mean:.1f} ± {gaps[label].high - mean:.1f}"}
        for mean, label in shown
    ]
    base = alt.Chart(alt.NamedData("gaps"))
    axis = alt.Axis(values=list(range(0, 16, 5)))
    x: Any = alt.X(
        "gap:Q",
        title="Mean gap to Retrain, percentage points (smaller is better)",
        scale=alt.Scale(domain=[0, RIGHT], nice=False),
        axis=axis,
    )
    names = alt.Axis(minExtent=215)  # room for the longest name in any font
    y = alt.Y("method:N", title=None, sort=[label for _, label in shown], axis=names)
    line = alt.Chart().mark_rule(color=INK, strokeDash=[5, 4], opacity=0.6).encode(x=alt.XDatum(nothing.mean))
    said = alt.Chart().mark_text(
        align="right", dx=-8, opacity=0.75, color=INK, text=[f"Original (forgets nothing): {nothing.mean:.1f}"]
    )
    layers = [
        line,
        said.encode(x=alt.XDatum(nothing.mean), y=alt.YDatum(shown[0][1])),
        base.mark_rule(color=COLORS[0], strokeWidth=2, opacity=0.55).encode(x=alt.X("low:Q"), x2="high:Q", y=y),
        base.mark_point(color=COLORS[0], filled=True, size=70, opacity=1).encode(x=x, y=y),
        base.mark_text(align="right", color=INK).encode(x=alt.X("right:Q"), y=y, text="text:N"),
    ]
    title = f"Means over {cells} cells, n = {nothing.n} seeds, ± 95 % t-interval"
    made = sized(alt.layer(*layers), 22 * len(records), 560).properties(title=title)
    return chart("leaderboard", title, "", made, {"gaps": records})


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_bytes(ranking(*mean_gaps(pd.read_parquet(source))).svg_file())
