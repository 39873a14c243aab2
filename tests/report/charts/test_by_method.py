"""Panels by cell and measure: a mark a line, cut intervals, and Retrain's mean as a rule in each panel."""

from __future__ import annotations

from orchestrator.report.charts.by_method import by_method_chart, method_record
from orchestrator.report.frames.summary import summarize

LINES = {"Original": "original", "Retrain": "retrain", "SCRUB": "scrub"}


def test_a_record_is_in_the_unit_of_its_measure_and_cut_at_its_ends() -> None:
    record = method_record("accent", "Accuracy", "SCRUB", "scrub", summarize([0.9, 1.0, 0.95]), 100, 100)
    assert (record["x"], record["high"], record["n"], record["role"]) == (95.0, 100, 3, "method")
    assert 80 < record["low"] < 95
    assert method_record("a", "b", "Retrain", "retrain", summarize([0.1]), 1, 1)["role"] == "retrain"


def test_each_panel_has_every_line_and_the_rule_of_retrain() -> None:
    records = [
        method_record(row, column, label, method, summarize([0.5, 0.6]), 100, 100)
        for row in ("noise", "accent")
        for column in ("Probe", "Accuracy")
        for label, method in LINES.items()
    ]
    drawn = by_method_chart("p", "Title", "Text.", records, list(LINES))
    svg = drawn.svg
    assert svg.count("stroke-dasharray") == 4
    assert svg.index(">noise<") < svg.index(">accent<")
    assert svg.index(">Probe<") < svg.index(">Accuracy<")
    assert drawn.spec["facet"]["row"]["sort"] == ["noise", "accent"]
