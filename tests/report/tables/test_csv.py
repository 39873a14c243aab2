"""Tidy tables."""

from __future__ import annotations

import pandas as pd
import pytest

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.csv import spreadsheet_csv, tidy
from orchestrator.report.tables.model import build_tables


def tables(rows: pd.DataFrame, **kwargs):
    """All tables of the rows."""
    return build_tables(reported(with_gaps(prepare(rows)))[0], **kwargs)


def test_texts_that_a_spreadsheet_would_run_are_guarded_and_numbers_are_not() -> None:
    frame = pd.DataFrame({"name": ["=cmd()", "-2+3", "@x", "plain", None], "value": [-1.5, 2.0, 0.0, 1.0, 3.0]})
    assert spreadsheet_csv(frame).decode().splitlines()[1:] == [
        "'=cmd(),-1.5",
        "'-2+3,2.0",
        "'@x,0.0",
        "plain,1.0",
        ",3.0",
    ]


def test_tidy_tables_hold_every_measure_at_full_precision(make_rows) -> None:
    rows = make_rows(kinds=["sample"])
    found = tidy(tables(rows)[0])
    cell = found[(found["label"] == "SCRUB") & (found["measure"] == "forget_accuracy")].iloc[0]
    assert cell["mean"] == pytest.approx(100 * rows[rows["method"] == "scrub"]["forget_accuracy"].mean(), rel=1e-12)
    assert (cell["unit"], cell["n"], cell["over"], cell["spread"]) == ("%", 5, "seeds", "95% t-interval")
    assert not found.duplicated(["unlearning", "label", "measure"]).any()
