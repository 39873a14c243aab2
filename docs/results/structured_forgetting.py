"""Compute the registered statistics of structured_forgetting.md from its rows, and draw its picture.

python docs/results/structured_forgetting.py ROWS.parquet PICTURE.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from scipy import stats
from tabulate import tabulate

from orchestrator.evidence.paired import compare_paired, holm
from orchestrator.report.charts.chart import Chart, chart, sized
from orchestrator.report.charts.style import COLORS, INK
from orchestrator.report.frames.select import CELL, prepare
from orchestrator.report.frames.summary import summarize, with_spread

NAMES = {"none": "no SuperLoss", "published": "SuperLoss", "shuffled": "shuffled weights", "public code": "public code"}
MEASURES = {
    "forget_accuracy": "D_f",
    "test_accuracy_kept_classes": "D_t, kept classes",
    "retain_accuracy": "D_r",
}


def variant(superloss: str) -> str:
    """Name a line of a method by its SuperLoss, given as JSON or empty: one of `NAMES`."""
    settings = json.loads(superloss or "{}")
    if not settings:
        return "none"
    if settings["tau"] == "mubench":
        return "public code"
    return "shuffled" if settings.get("shuffled") else "published"


def accuracies(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each seed, cell and method with its lines' accuracies in percent (columns: measure, line).

    Raises:
        ValueError: a run that did not end as done; a test on what is left would not be the registered one.
    """
    frame = prepare(rows)
    frame = frame[(frame["stage"] == "unlearn") & (frame["method"] != "original") & ~frame["tuning"]]
    bad = frame[frame["status"] != "done"]
    if len(bad):
        raise ValueError(f"{len(bad)} runs did not end as done: got {sorted(bad['method'].unique())}; run them again")
    frame["line"] = frame["superloss"].map(variant)
    frame["test_accuracy_kept_classes"] = frame["test_accuracy_kept_classes"].fillna(frame["test_accuracy"])
    # A class that is forgotten is drawn by seed, so it is a part of the seed; the cell is what all seeds share.
    keys = ["method", *(name for name in CELL if name != "forget_classes")]
    return frame.pivot(index=keys, columns="line", values=list(MEASURES)) * 100


def by_seed(found: pd.DataFrame, measure: str, line: str, control: str) -> pd.Series[Any]:
    """Average one line minus another over methods and cells within a seed, in percentage points."""
    return (found[measure][line] - found[measure][control]).groupby("seed").mean()


def lower(differences: pd.Series[Any]) -> float:
    """Compute the one-sided p-value that the mean of the seeds' differences is below 0 (t-test)."""
    if np.ptp(differences) == 0:
        return 0.0 if differences.iloc[0] < 0 else 1.0
    return float(stats.ttest_1samp(differences, 0.0, alternative="less").pvalue)


def primary(found: pd.DataFrame) -> str:
    """Format the registered table: A, B and the public code, with Holm over A and B."""
    pairs = {
        "A": ("published", "none"),
        "B": ("published", "shuffled"),
        "public code, not registered": ("public code", "none"),
    }
    p = holm([lower(by_seed(found, "forget_accuracy", *pairs[name])) for name in ("A", "B")])
    table = [
        [name, f"{NAMES[line]} − {NAMES[control]}"]
        + [with_spread(summarize(by_seed(found, measure, line, control)), 2) for measure in MEASURES]
        + [f"{p[i]:.3f}" if i < len(p) else "–"]
        for i, (name, (line, control)) in enumerate(pairs.items())
    ]
    return tabulate(
        table, ["Test", "Difference", *MEASURES.values(), "p (D_f, Holm)"], tablefmt="pipe", disable_numparse=True
    )


def secondary(found: pd.DataFrame) -> str:
    """Format each method's accuracy on D_f, its differences, and two-sided p-values with Holm over all of them."""
    pairs = (("published", "none"), ("published", "shuffled"), ("public code", "none"))
    table, p = [], []
    for method, part in found.groupby("method"):
        seeds = [by_seed(part, "forget_accuracy", *pair) for pair in pairs]
        p += [compare_paired(s.to_numpy()).p for s in seeds]
        start = part["forget_accuracy"]["none"].groupby("seed").mean()
        table.append([method, with_spread(summarize(start)), *(with_spread(summarize(s), 2) for s in seeds)])
    corrected = holm(p)
    for i, row in enumerate(table):
        row[2:] = [f"{text} (p {corrected[3 * i + j]:.2f})" for j, text in enumerate(row[2:])]
    titles = ["Method", "D_f, no SuperLoss", *(f"{NAMES[a]} − {NAMES[b]}" for a, b in pairs)]
    return tabulate(table, titles, tablefmt="pipe", disable_numparse=True)


def picture(found: pd.DataFrame) -> Chart:
    """Draw D_f's accuracy of each method and line (95 % t-interval over seeds), and the paper's figures."""
    records: list[dict[str, Any]] = []
    for method, part in found.groupby("method"):
        for line, name in NAMES.items():
            s = summarize(part["forget_accuracy"][line].groupby("seed").mean())
            shown = {"mean": s.mean, "low": max(s.low, 0), "high": min(s.high, 100)}
            records.append({"method": method, "line": name, **shown})
    base = alt.Chart(alt.NamedData("points"))
    scale = alt.Scale(domain=list(NAMES.values()), range=list(COLORS[: len(NAMES)]))
    y = alt.Y("method:N", title=None, axis=alt.Axis(minExtent=90))
    row = alt.YOffset("line:N", sort=list(NAMES.values()))
    color = alt.Color("line:N", scale=scale, title=None, legend=alt.Legend(orient="top"))
    x: Any = alt.X("mean:Q", title="Accuracy on D_f, %", scale=alt.Scale(domain=[0, 100]))
    claimed = [
        alt.Chart().mark_rule(color=INK, strokeDash=[5, 4], opacity=0.6).encode(x=alt.XDatum(value))
        for value in (44.7, 17.3)
    ]
    layers = [
        *claimed,
        base.mark_rule().encode(x="low:Q", x2="high:Q", y=y, yOffset=row, color=color),
        base.mark_point(filled=True, size=45).encode(x=x, y=y, yOffset=row, color=color),
    ]
    title = f"Accuracy on D_f: means over the cells, n = {s.n} seeds, ± 95 % t-interval; dashed: the paper's figures"
    made = sized(alt.layer(*layers), 300, 520).properties(title=title)
    return chart("structured_forgetting", title, "", made, {"points": records})


if __name__ == "__main__":
    source, out = map(Path, sys.argv[1:])
    table = accuracies(pd.read_parquet(source))
    print(primary(table), secondary(table), sep="\n\n")
    out.write_bytes(picture(table).svg_file())
