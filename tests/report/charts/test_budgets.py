"""The curve of the gap over the budget."""

from __future__ import annotations

import pandas as pd

from orchestrator.report.charts.budgets import budget_chart
from orchestrator.report.frames.summary import summarize


def test_each_method_has_a_point_at_each_budget_that_it_was_measured_at() -> None:
    gaps = pd.DataFrame(
        [
            {"line": name, "fraction": fraction, "gap": summarize(values)}
            for name, fraction, values in [("A", 0.1, [4.0, 6.0]), ("A", 1.0, [1.0]), ("B", 0.1, []), ("B", 1.0, [2.0])]
        ]
    )
    made = budget_chart(gaps, "samples")
    (records,) = made.datasets.values()
    assert [(r["line"], r["fraction"], r["gap"], r["n"]) for r in records] == [
        ("A", 0.1, 5.0, 2),
        ("A", 1.0, 1.0, 1),
        ("B", 1.0, 2.0, 1),
    ]
    assert b"budget (share of Retrain" in made.svg_file()
