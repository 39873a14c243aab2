"""A table and a chart of gaps over budgets, for lines that ran with several."""

from __future__ import annotations

import pandas as pd
import pytest
from report.leaderboard.test_page import evidence_of

from orchestrator.report.charts.chart import Chart
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.leaderboard.budgets import budgets_pieces, gaps_by_budget
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


def text_of(rows):
    return [piece for piece in budgets_pieces(cells_of(rows)) if isinstance(piece, str)]


def test_each_line_has_a_gap_at_each_budget(rows) -> None:
    found = gaps_by_budget(cells_of(at_budgets(rows, [0.05, 0.2, 1.0])))
    assert found.groupby("line")["fraction"].agg(list).to_dict() == {
        "Bad-T": [0.05, 0.2, 1.0],
        "SCRUB": [0.05, 0.2, 1.0],
    }
    assert all(gap.n == 3 for gap in found["gap"])
    assert found.groupby("fraction")["cut"].sum().to_dict() == {0.05: 12, 0.2: 0, 1.0: 0}


def test_the_table_puts_the_line_that_is_closest_with_the_largest_budget_first(rows) -> None:
    lines = "\n".join(text_of(at_budgets(rows, [0.05, 1.0]))).splitlines()
    assert lines[0] == "## Gap by budget, in samples"
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert table[0] == ["Method", "Cells", "0.05 × Retrain", "1 × Retrain"]
    assert [row[0] for row in table[2:]] == ["SCRUB", "Bad-T"]
    assert all(row[2].endswith("†") and not row[3].endswith("†") for row in table[2:])


def test_one_budget_needs_no_table(rows) -> None:
    assert budgets_pieces(cells_of(rows)) == []


def test_a_sentence_names_who_could_not_finish_an_epoch_at_which_budget(rows) -> None:
    assert (
        "Could not finish one epoch of a pass: at 0.05 × Retrain Bad-T (6 of 6 runs), SCRUB (6 of 6 runs)."
        in text_of(at_budgets(rows, [0.05, 1.0]))
    )
    assert "Every run finished at least one epoch" in "".join(text_of(at_budgets(rows, [0.5, 1.0])))


def test_the_chart_has_a_panel_a_line_with_a_point_and_an_interval_at_each_budget(rows) -> None:
    (drawn,) = (p for p in budgets_pieces(cells_of(at_budgets(rows, [0.05, 0.2, 1.0]))) if isinstance(p, Chart))
    (records,) = drawn.datasets.values()
    assert [(record["line"], record["x"]) for record in records] == [
        (line, x) for line in ("SCRUB", "Bad-T") for x in (0.05, 0.2, 1.0)
    ]
    assert all(record["low"] <= record["y"] <= record["high"] for record in records)
    assert drawn.svg.count("Bad-T") >= 1


def test_a_cell_with_one_budget_does_not_take_part(make_rows, rows) -> None:
    other = make_rows(task="other", methods=METHODS, seeds=[0, 1, 2]).assign(num_classes=12)
    several = at_budgets(rows, [0.2, 1.0])
    alone = gaps_by_budget(cells_of(several))
    found = gaps_by_budget(cells_of(pd.concat([several, other], ignore_index=True)))
    pd.testing.assert_frame_equal(found, alone)
    assert set(found["cells"]) == {2}
