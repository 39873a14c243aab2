"""Panels: one a method, in their order, with all series; what is beyond the frame is cut."""

from __future__ import annotations

from orchestrator.report.charts.panels import BEYOND, Axes, panel_record, panels_chart
from orchestrator.report.frames.summary import summarize

AXES = Axes("budget", "gap (points)", [0.05, 1.0], logarithmic=True)


def made(records):
    return panels_chart("p", "Title", "Text.", records, AXES)


def test_a_record_has_the_interval_from_zero_on_and_none_for_one_value() -> None:
    three, one = (panel_record("a", "method", 0.2, summarize(values)) for values in ([1.0, 2.0, 6.0], [1.0]))
    assert (three["y"], three["low"], three["n"]) == (3.0, 0.0, 3)
    assert three["high"] > 9
    assert {"low", "high"}.isdisjoint(one)


def test_each_line_has_its_panel_in_the_order_of_the_records() -> None:
    records = [panel_record(line, "method", x, summarize([1.0, 2.0, 3.0])) for line in ("b", "a") for x in (0.05, 1.0)]
    drawn = made(records)
    assert drawn.spec["facet"]["sort"] == ["b", "a"]
    svg = drawn.svg
    assert svg.index(">b<") < svg.index(">a<")


def test_a_wide_interval_does_not_flatten_the_means() -> None:
    records = [
        panel_record("a", "method", x, summarize(values)) for x, values in ((0.05, [0.0, 0.0, 9.0]), (1.0, [1.0]))
    ]
    (y,) = {
        layer["encoding"]["y"]["scale"]["domain"][1]
        for layer in made(records).spec["spec"]["layer"]
        if "y2" not in layer["encoding"]
    }
    assert y == BEYOND * 3.0


def test_several_series_share_a_legend_and_one_has_none() -> None:
    both = [panel_record("a", series, 1.0, summarize([1.0])) for series in ("in sequence", "Retrain")]
    assert ">in sequence<" in made(both).svg
    assert ">in sequence<" not in made(both[:1]).svg
