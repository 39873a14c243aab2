"""The plot of collapse, read back from its artists."""

from __future__ import annotations

import pytest

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.plots.collapse import collapse, has_collapsed
from orchestrator.report.tables.model import build_tables


def test_bars_are_shares_of_one_class_and_the_dashed_line_is_the_constant_predictor(make_rows, change) -> None:
    rows = make_rows(methods=["original", "retrain", "scrub"], kinds=["sample"], seeds=[0, 1, 2])
    rows["test_largest_prediction_share"] = 0.1
    whole = {"collapsed": True, "test_largest_prediction_share": 1.0}
    collapsed = change(rows, {"method": "scrub"}, **whole)
    (table,), (without,) = (build_tables(reported(with_gaps(prepare(made)))[0]) for made in (collapsed, rows))
    assert has_collapsed(table)
    assert not has_collapsed(without)
    (ax,) = collapse(table).axes
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([10, 10, 100])
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert dashed[0].get_xdata()[0] == pytest.approx(8.3)
