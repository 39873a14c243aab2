"""Distances to Retrain over all cells: the closest is marked, and cells with nothing to forget are left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from report.leaderboard.test_page import evidence_of

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.leaderboard.distances import distances_markdown
from orchestrator.report.leaderboard.page import leaderboard_cells
from orchestrator.report.leaderboard.ranking import ranking

METHODS = ["original", "retrain", "scrub", "bad_teacher"]
JS = {"original": 0.5, "retrain": np.nan, "scrub": 0.2, "bad_teacher": 0.1}
RMIA = {"original": 0.9, "retrain": 0.55, "scrub": 0.52, "bad_teacher": 0.3}


@pytest.fixture(scope="module")
def rows(make_rows):
    return make_rows(methods=METHODS, seeds=[0, 1, 2]).assign(num_classes=12)


def section(rows: pd.DataFrame, **columns: dict) -> list[str]:
    found = reported(with_gaps(prepare(rows)))[0]
    measured = {name: found["method"].map(values) for name, values in columns.items()}
    cells = leaderboard_cells(evidence_of(found.assign(**measured), tuple(columns)))
    return distances_markdown(cells, ranking(cells))


def table_of(lines: list[str]) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2].splitlines()]
    return {row[0]: row[1:] for row in rows}


def test_the_closest_to_retrain_is_bold_by_its_own_value_or_by_zero(rows) -> None:
    table = table_of(section(rows, js_retrain=JS, rmia_auc=RMIA))
    assert table["Method"] == ["Gap (points), 2 cells", "JS on D_f (nats), 2 cells", "RMIA AUC, 2 cells"]
    assert table["Retrain"] == ["target", "target", "0.550 ± 0.000 (3)"]
    assert table["Bad-T"][1:] == ["**0.1000 ± 0.0000 (3)**", "0.300 ± 0.000 (3)"]
    assert table["SCRUB"][1:] == ["0.2000 ± 0.0000 (3)", "**0.520 ± 0.000 (3)**"]


def test_a_cell_with_nothing_to_forget_is_left_out(rows, change) -> None:
    target = rows[(rows["method"] == "retrain") & (rows["unlearning"] == "sample")].set_index("seed")["forget_accuracy"]
    same = (rows["method"] == "original") & (rows["unlearning"] == "sample")
    level = rows.assign(forget_accuracy=rows["forget_accuracy"].mask(same, rows["seed"].map(target)))
    assert table_of(section(level, js_retrain=JS))["Method"][1] == "JS on D_f (nats), 1 cell"


def test_the_gap_alone_needs_no_section(rows) -> None:
    assert section(rows) == []
