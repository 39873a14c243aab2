"""A row for each difference; filled dots as the caller says."""

from __future__ import annotations

from orchestrator.report.charts.differences import differences_chart, stacked
from orchestrator.report.frames.summary import summarize


def test_each_row_has_its_mean_and_interval_in_the_order_given() -> None:
    rows = [("b − default", summarize([1.0, 2.0, 3.0]), True), ("a − default", summarize([0.5]), False)]
    drawn = differences_chart("d", "Title", "Text.", "points", rows)
    (records,) = drawn.datasets.values()
    assert [record["line"] for record in records] == ["b − default", "a − default"]
    assert records[0]["gap"] == 2.0
    assert records[0]["low"] < 2.0 < records[0]["high"]
    assert [record["apart"] for record in records] == [True, False]
    assert "low" not in records[1]
    assert drawn.svg.index(">b<") < drawn.svg.index(">a<")


def test_long_names_go_on_below_and_are_whole() -> None:
    names = [f"GradAscent + SuperLoss (strength {n}, tau moving_average) − GradAscent" for n in (1, 10)]
    assert stacked(names[0]) == ["GradAscent + SuperLoss", "(strength 1, tau moving_average)", "− GradAscent"]
    drawn = differences_chart("d", "Title", "Text.", "points", [(name, summarize([1.0]), False) for name in names])
    for name in names:
        assert all(f">{part}<" in drawn.svg for part in stacked(name))
