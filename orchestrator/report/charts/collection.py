"""Which charts a report has: those of each task, by the table that they belong to."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from orchestrator.file_names import file_name
from orchestrator.report.charts.chart import Chart
from orchestrator.report.charts.collapse import collapse_charts
from orchestrator.report.charts.curves import ratio_charts, request_charts
from orchestrator.report.charts.data import means, records, views
from orchestrator.report.charts.membership import ReadOutputs, membership_charts
from orchestrator.report.charts.progress import ReadCurves, progress_charts
from orchestrator.report.charts.relearning import relearning_charts
from orchestrator.report.charts.style import marks
from orchestrator.report.charts.task import block_charts
from orchestrator.report.tables.model import Table


def task_charts(
    tables: Sequence[Table],
    read: ReadOutputs | None = None,
    relearned: pd.DataFrame | None = None,
    curves: ReadCurves | None = None,
    sweeps: Sequence[Table] = (),
) -> dict[str, list[Chart]]:
    """Draw the charts of one task, by the name of the table that they are shown under.

    Args:
        tables: of the task, as `build_tables` orders them.
        read: stored outputs of a trial; without it there are no ROC curves and confidences.
        relearned: of `probes.relearning_curves`.
        curves: of trials by their ids.
        sweeps: the task's first table in each sweep, if there are several; charts can show these too.
    """
    styles = marks([line for table in (*tables, *sweeps) for block in table.blocks for line in block.lines])
    shown = [*views(tables), *sweeps]
    found: dict[str, list[Chart]] = {}
    drawn: set[str] = set()
    for place, table in enumerate(tables):
        stem = file_name(table.task)
        charts: list[Chart] = []
        if place == 0:
            charts += block_charts(table, stem, f"{stem}--lines", records(shown), styles)
            charts += collapse_charts(shown, stem, styles)
            charts += progress_charts(shown, curves, stem, styles) if curves else []
            charts += membership_charts(shown, read, stem, styles) if read else []
            charts += relearning_charts(shown, relearned, stem, styles) if relearned is not None else []
        if table.by_ratio:
            charts += ratio_charts(table, stem, f"{table.name}--lines", means([table]), styles)
        if table.sequence and table.sequence not in drawn:
            drawn.add(table.sequence)
            charts += request_charts(table, table.name, f"{table.name}--requests", means([table]), styles)
        if charts:
            found[table.name] = charts
    return found
