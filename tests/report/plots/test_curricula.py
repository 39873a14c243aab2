"""The plot of curricula, read back from its artists."""

from __future__ import annotations

import pandas as pd
import pytest

from orchestrator.report.frames.summary import summarize
from orchestrator.report.plots.curricula import differences


def test_dots_are_at_the_differences_and_filled_where_the_interval_leaves_out_0() -> None:
    gaps = [summarize([-1.0, -1.1, -0.9]), summarize([1.0, -2.0, 3.0]), summarize([0.5, 0.7])]
    lines = ["A + easy first", "A + hard first", "B + SuperLoss"]
    controls = ["random order", "random order", "B"]
    rows = [
        {"task": task, "unlearning": "class", "line": line, "control_name": control, "gap_mean": gap}
        for task in ("all", "words")
        for line, control, gap in zip(lines, controls, gaps, strict=True)
    ]
    made = differences(pd.DataFrame(rows))
    assert len(made.axes) == 2
    dots = [line for line in made.axes[0].lines if line.get_marker() == "o"]
    assert [float(dot.get_xdata()[0]) for dot in dots] == pytest.approx([gap.mean for gap in gaps])
    assert [dot.get_markerfacecolor() == "white" for dot in dots] == [False, True, True]
    names = [text.get_text() for text in made.axes[0].get_yticklabels()]
    assert names[0] == "A + easy first − random order"
