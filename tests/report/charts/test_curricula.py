"""The chart of curricula."""

from __future__ import annotations

import pandas as pd
import pytest

from orchestrator.report.charts.curricula import curricula_charts
from orchestrator.report.frames.summary import summarize


def test_dots_are_at_the_differences_and_filled_where_the_interval_leaves_out_0() -> None:
    gaps = [summarize([-1.0, -1.1, -0.9]), summarize([1.0, -2.0, 3.0]), summarize([0.5, 0.7])]
    lines = ["A + easy first", "A + hard first", "B + SuperLoss"]
    controls = ["random order", "random order", "B"]
    rows = [
        {"task": task, "unlearning": "class", "line": line, "control_name": control, "gap_mean": gap}
        for task in ("all", "words")
        for line, control, gap in zip(lines, controls, gaps, strict=True)
    ]
    first, second = curricula_charts(pd.DataFrame(rows))
    (records,) = first.datasets.values()
    assert [one["gap"] for one in records] == pytest.approx([gap.mean for gap in gaps], abs=1e-3)
    assert [one["apart"] for one in records] == [True, False, False]
    assert records[0]["line"] == "A + easy first − random order"
    assert first.name != second.name
    assert "A + easy first" in first.svg
