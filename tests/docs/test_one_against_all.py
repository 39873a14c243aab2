"""A planted difference between lines is found over all cells, and a missing cell is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.docs.scripts import script

WORSE = {"unheard": 0.0, "salun": 0.05, "npo": 0.0}  # how much further D_f is from Retrain


@pytest.fixture(scope="module")
def comparison() -> Any:
    return script("one_against_all")


@pytest.fixture
def rows() -> pd.DataFrame:
    noise = np.random.default_rng(0)
    made = []
    for seed in range(5):
        for task in ("keywords", "speakers"):
            shared = {"status": "done", "tuning": False, "seed": seed, "task": task, "backbone": "b"}
            shared |= {"unlearning": "sample", "parent_retrain": f"{task}{seed}", "test_accuracy": 0.8}
            retrain = {"stage": "retrain", "method": "retrain", "trial_id": f"{task}{seed}", "forget_accuracy": 0.5}
            made.append(shared | retrain | {"retain_accuracy": 0.9})
            for method, worse in WORSE.items():
                found = 0.6 + worse + noise.normal(0, 0.002)
                line = {"stage": "unlearn", "method": method, "method_label": method, "forget_accuracy": found}
                made.append(shared | line | {"trial_id": f"{method}{task}{seed}", "retain_accuracy": 0.9})
    frame = pd.DataFrame(made)
    frame["js_retrain"] = frame["forget_accuracy"]
    return frame


def test_a_planted_difference_is_found_over_cells_and_no_other(comparison: Any, rows: pd.DataFrame) -> None:
    salun, npo = (
        dict(zip(("line", "gap", "p"), [cell.strip() for cell in line.strip("|").split("|")][:3], strict=True))
        for line in sorted(comparison.table(rows, "unheard").splitlines()[2:], reverse=True)
    )
    assert (salun["line"], npo["line"]) == ("salun", "npo")
    assert salun["gap"].startswith("1.7 ±")  # 5 points of D_f, a third of the gap
    assert salun["p"] == "< 0.001"
    assert float(npo["p"]) > 0.05


def test_a_line_without_a_cell_is_refused(comparison: Any, rows: pd.DataFrame) -> None:
    short = rows[~((rows["method"] == "npo") & (rows["task"] == "speakers") & (rows["seed"] == 3))]
    with pytest.raises(ValueError, match=r"not every line has gap_mean in every cell and seed: got gaps in .*npo"):
        comparison.table(short, "unheard")


def test_a_method_that_no_line_has_is_refused(comparison: Any, rows: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="one line must have this label: got 'scrub'"):
        comparison.table(rows, "scrub")


def test_a_cell_that_nobody_measured_is_refused(comparison: Any, rows: pd.DataFrame) -> None:
    rows.loc[rows["task"] == "speakers", "js_retrain"] = float("nan")
    with pytest.raises(ValueError, match="not every line has js_retrain"):
        comparison.table(rows, "unheard")


@pytest.mark.parametrize(("column", "values"), [("budget_fraction", (0.2, 1.0)), ("training", ("a", "b"))])
def test_several_budgets_or_trainings_are_refused(
    comparison: Any, rows: pd.DataFrame, column: str, values: tuple[Any, Any]
) -> None:
    rows[column] = [values[seed % 2] for seed in rows["seed"]]
    with pytest.raises(ValueError, match=f"one {column} can be compared"):
        comparison.table(rows, "unheard")


def test_settings_of_one_method_are_lines_of_their_own(comparison: Any, rows: pd.DataFrame) -> None:
    rows["settings"] = [f'{{"epochs": {2 if method == "npo" else 4}}}' for method in rows["method"]]
    again = rows[rows["method"] == "npo"].assign(settings='{"epochs": 8}')
    again["trial_id"] += "again"
    table = comparison.table(pd.concat([rows, again]), "unheard")
    assert [name for name in ("npo (epochs 2)", "npo (epochs 8)") if name in table] == [
        "npo (epochs 2)",
        "npo (epochs 8)",
    ]
