"""Numbers as text."""

from __future__ import annotations

import numpy as np
import pandas as pd

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.cells import body, header
from orchestrator.report.tables.model import build_tables


def tables(rows: pd.DataFrame, **kwargs):
    """All tables of the rows."""
    return build_tables(reported(with_gaps(prepare(rows)))[0], **kwargs)


def test_shown_numbers_are_means_over_seeds_in_percent(make_rows) -> None:
    rows = make_rows(kinds=["sample"])
    (table,) = tables(rows)
    row = next(row for row in body(table, table.blocks[0]) if row.cells[0] == "SCRUB")
    mean = 100 * rows[rows["method"] == "scrub"]["test_accuracy"].mean()
    assert row.cells[1].startswith(f"{mean:.1f} ± ")


def test_a_measure_with_fewer_values_than_its_line_shows_its_n(make_rows, change) -> None:
    rows = change(make_rows(kinds=["sample"]), {"method": "scrub", "seed": 1}, mia_nonmember=np.nan)
    (table,) = tables(rows)
    row = next(row for row in body(table, table.blocks[0]) if row.cells[0] == "SCRUB")
    assert row.cells[header(table).index("MIA")].endswith("(n=4)")


def test_long_times_are_shown_in_hours(make_rows) -> None:
    rows = make_rows(kinds=["sample"])
    assert "Time (h)" in header(tables(rows.assign(optimization_seconds=rows["optimization_seconds"] * 400))[0])
    assert "Time (min)" in header(tables(rows.assign(optimization_seconds=rows["optimization_seconds"] * 20))[0])
