"""Tidy tables."""

from __future__ import annotations

import pandas as pd
import pytest

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.csv import tidy
from orchestrator.report.tables.model import build_tables


def tables(rows: pd.DataFrame, **kwargs):
    """All tables of the rows."""
    return build_tables(reported(with_gaps(prepare(rows)))[0], **kwargs)


def test_tidy_tables_hold_every_measure_at_full_precision(make_rows) -> None:
    rows = make_rows(kinds=["sample"])
    found = tidy(tables(rows)[0])
    cell = found[(found["label"] == "SCRUB") & (found["measure"] == "forget_accuracy")].iloc[0]
    assert cell["mean"] == pytest.approx(100 * rows[rows["method"] == "scrub"]["forget_accuracy"].mean(), rel=1e-12)
    assert (cell["unit"], cell["n"], cell["over"], cell["spread"]) == ("%", 5, "seeds", "95% t-interval")
    assert not found.duplicated(["unlearning", "label", "measure"]).any()
