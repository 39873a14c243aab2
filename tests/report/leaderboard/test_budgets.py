"""A table of gaps over budgets, for lines that ran with several."""

from __future__ import annotations

import pandas as pd
import pytest
from report.leaderboard.test_page import evidence_of

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.leaderboard.budgets import budgets_markdown, gaps_by_budget
from orchestrator.report.leaderboard.page import leaderboard_cells

METHODS = ["original", "retrain", "bad_teacher", "scrub"]


@pytest.fixture(scope="module")
def rows(make_rows):
    return make_rows(methods=METHODS, seeds=[0, 1, 2]).assign(num_classes=12)


def at_budgets(rows, fractions):
    """Return rows in which each method ran with each budget; with the largest, every run has Retrain's accuracies."""
    methods = ~rows["method"].isin(["original", "retrain"])
    made = [rows[~methods]]
    for fraction in fractions:
        own = rows[methods].assign(
            budget_fraction=fraction, trial_id=rows["trial_id"] + f"-{fraction}", epochs_ended=float(fraction > 0.1)
        )
        own["stop_reason"] = "budget"
        made.append(own)
    return pd.concat(made, ignore_index=True)


def cells_of(rows):
    return leaderboard_cells(evidence_of(reported(with_gaps(prepare(rows)))[0]))


def test_each_line_has_a_gap_at_each_budget(rows) -> None:
    found = gaps_by_budget(cells_of(at_budgets(rows, [0.05, 0.2, 1.0])))
    assert found.groupby("line")["fraction"].agg(list).to_dict() == {
        "Bad-T": [0.05, 0.2, 1.0],
        "SCRUB": [0.05, 0.2, 1.0],
    }
    assert all(gap.n == 3 for gap in found["gap"])
    assert found.groupby("fraction")["cut"].sum().to_dict() == {0.05: 12, 0.2: 0, 1.0: 0}


def test_the_table_puts_the_line_that_is_closest_with_the_largest_budget_first(rows) -> None:
    parts, pictures = budgets_markdown(cells_of(at_budgets(rows, [0.05, 1.0])), "page")
    lines = "\n".join(parts).splitlines()
    assert list(pictures) == ["page-gap-by-budget-samples.svg"]
    assert lines[2] == "![Gap by budget, in samples](page-gap-by-budget-samples.svg)"
    assert lines[0] == "## Gap by budget, in samples"
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert table[0] == ["Method", "0.05 × Retrain", "1 × Retrain"]
    assert [row[0] for row in table[2:]] == ["SCRUB", "Bad-T"]
    assert all(row[1].endswith("†") and not row[2].endswith("†") for row in table[2:])


def test_one_budget_needs_no_table(rows) -> None:
    assert budgets_markdown(cells_of(rows), "page") == ([], {})
