"""The chart of collapse."""

from __future__ import annotations

import pytest

from orchestrator.report.charts.collapse import collapse_charts
from orchestrator.report.charts.style import marks
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.model import build_tables


def test_bars_are_shares_of_one_class_and_only_collapsed_blocks_are_drawn(make_rows, change) -> None:
    rows = make_rows(methods=["original", "retrain", "scrub"], kinds=["sample"], seeds=[0, 1, 2])
    rows["test_largest_prediction_share"] = 0.1
    whole = {"collapsed": True, "test_largest_prediction_share": 1.0}
    collapsed = change(rows, {"method": "scrub"}, **whole)
    (table,), (without,) = (build_tables(reported(with_gaps(prepare(made)))[0]) for made in (collapsed, rows))
    assert collapse_charts([without], "t", marks(without.blocks[0].lines)) == []
    (chart,) = collapse_charts([table], "t", marks(table.blocks[0].lines))
    (records,) = chart.datasets.values()
    assert [one["share"] for one in records if "line" in one] == pytest.approx([10, 10, 100])
    assert [one["constant"] for one in records if "constant" in one] == pytest.approx([8.3])
    assert "SCRUB" in chart.svg
