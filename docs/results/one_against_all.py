"""Compare one method with every other over all cells of a leaderboard's rows, paired by seed.

python docs/results/one_against_all.py ROWS.parquet METHOD
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from orchestrator.evidence.paired import compare_paired, holm
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import REQUEST, prepare, reported
from orchestrator.report.frames.summary import of_test, p_text, with_spread

MEASURES = {"gap_mean": ("gap (points)", 1), "js_retrain": ("JS on D_f (nats)", 3)}


def by_seed(rows: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Average a measure over cells; one row for each line, one column for each seed.

    Raises:
        ValueError: there are several budgets or trainings, whose gaps are not to one Retrain; or a line lacks a cell of
            a seed, so that its mean would be over other cells than those of the rest.
    """
    frame = with_gaps(reported(prepare(rows))[0])
    if measure not in frame:  # of the evidence
        frame[measure] = frame["trial_id"].map(rows.drop_duplicates("trial_id").set_index("trial_id")[measure])
    frame = frame[(frame["stage"] == "unlearn") & ~frame["method"].isin(["original", "retrain"])].copy()
    for column in ("training", "budget_fraction"):
        if len(several := sorted(map(str, frame[column].dropna().unique()))) > 1:
            raise ValueError(f"one {column} can be compared: got {', '.join(several)}; give the rows of one")
    frame["cell"] = [" ".join(map(str, cell)) for cell in frame[[*REQUEST, "requests_before"]].itertuples(index=False)]
    frame[measure] = frame[measure].where(frame["status"] == "done")
    cells = frame.pivot_table(index=["label", "seed"], columns="cell", values=measure, dropna=False)
    if cells.isna().any(axis=None):
        short = sorted({str(label) for label, _ in cells.index[cells.isna().any(axis=1)]})
        raise ValueError(
            f"not every line has {measure} in every cell and seed: got gaps in {short}; run what is missing"
        )
    return cells.mean(axis=1).unstack("seed")


def table(rows: pd.DataFrame, method: str) -> str:
    """Format every line minus one, with Holm over the lines, and the difference that 80 % power would find.

    Raises:
        ValueError: no line begins with the method's label, or several do.
    """
    found = {measure: by_seed(rows, measure) for measure in MEASURES}
    lines = list(found["gap_mean"].index)
    ours = [line for line in lines if line == method] or [line for line in lines if line.startswith(f"{method} +")]
    if len(ours) != 1:
        raise ValueError(f"one line must have this label: got {method!r}, which fits {ours}; there are {lines}")
    others = [line for line in lines if line != ours[0]]
    tests = {
        name: [compare_paired((v.loc[o] - v.loc[ours[0]]).to_numpy()) for o in others] for name, v in found.items()
    }
    corrected = {name: holm([test.p for test in several]) for name, several in tests.items()}
    shown = []
    for i in sorted(range(len(others)), key=lambda i: tests["gap_mean"][i].mean):
        cells = [others[i]]
        for name, (_, digits) in MEASURES.items():
            test = tests[name][i]
            cells += [with_spread(of_test(test), digits), p_text(corrected[name][i]), f"{test.detectable:.{digits}f}"]
        shown.append(cells)
    titles = [t for title, _ in MEASURES.values() for t in (title, "p (Holm)", "detectable")]
    return tabulate(shown, [f"Line − {ours[0]}", *titles], tablefmt="pipe", disable_numparse=True)


if __name__ == "__main__":
    print(table(pd.read_parquet(Path(sys.argv[1])), sys.argv[2]))
