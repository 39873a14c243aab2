"""Chart of curricula against their controls: each line's gap to Retrain minus that of its control."""

from __future__ import annotations

import pandas as pd

from orchestrator.file_names import file_name
from orchestrator.report.charts.chart import Chart
from orchestrator.report.charts.differences import differences_chart


def curricula_charts(found: pd.DataFrame) -> list[Chart]:
    """Draw a chart for each task and kind of unlearning, a row a line: its gap minus its control's, in points.

    Left of 0 is closer to Retrain than the control. Filled dots have an interval that does not contain 0.

    Args:
        found: of `curricula.against_controls`.
    """
    return [
        _differences(part, str(task), str(kind))
        for (task, kind), part in found.groupby(["task", "unlearning"], sort=False)
    ]


def _differences(part: pd.DataFrame, task: str, kind: str) -> Chart:
    rows = [
        (f"{line} − {control}", gap, gap.spread == "95% t-interval" and not gap.low <= 0 <= gap.high)
        for line, control, gap in zip(part["line"], part["control_name"], part["gap_mean"], strict=True)
    ]
    name = file_name("curricula") if task == "all" else file_name("curricula", task, kind)
    what = "All tasks and kinds, each seed's mean" if task == "all" else f"{task}, {kind} unlearning"
    text = f"{what}. Bars: 95 % interval over seeds, range of two; filled: the interval does not contain 0."
    return differences_chart(name, "Curricula against their controls", text, "gap − control's gap (points)", rows)
