"""A mark for each line and group of canaries that has a value, with its interval."""

from __future__ import annotations

import re

from orchestrator.report.charts.canaries import NO_MEMORY, canaries_chart
from orchestrator.report.frames.summary import summarize


def test_each_line_has_its_groups_in_the_order_given_and_no_empty_one() -> None:
    rows = [
        ("SCRUB", "forgotten", summarize([3.0, 4.0, 5.0])),
        ("SCRUB", "never trained on", summarize([1.0, 2.0, 1.5])),
        ("Retrain", "forgotten", summarize([1.5])),
        ("Retrain", "kept", summarize([])),
    ]
    drawn = canaries_chart("c", "Title", "Text.", "bits", rows, NO_MEMORY)
    (records,) = drawn.datasets.values()
    assert [(r["line"], r["group"]) for r in records] == [(line, group) for line, group, found in rows if found.n]
    assert records[0]["low"] < 4.0 == records[0]["x"] < records[0]["high"]
    assert "low" not in records[2]
    assert drawn.svg.index("SCRUB") < drawn.svg.index("Retrain")
    assert ">kept<" not in drawn.svg


def test_the_axis_begins_at_zero_where_an_interval_goes_below() -> None:
    wide = summarize([0.1, 9.0, 0.2])
    assert wide.low < -5
    drawn = canaries_chart("c", "Title", "Text.", "bits", [("NPO", "forgotten", wide)], NO_MEMORY)
    assert not re.search(r">[-−–]\d", drawn.svg)
