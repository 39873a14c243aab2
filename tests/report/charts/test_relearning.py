"""Curves of the relearning attack."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from orchestrator.report.charts.relearning import relearning_charts
from orchestrator.report.charts.style import marks
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.model import build_tables


@pytest.fixture
def table(make_rows):
    rows = make_rows(kinds=["sample"], methods=["original", "retrain", "scrub"], seeds=[0, 1])
    return build_tables(reported(with_gaps(prepare(rows)))[0])[0]


def charts(table, curves):
    return relearning_charts([table], curves, "t", marks(table.blocks[0].lines))


def curves(table, ks=(0, 5)) -> pd.DataFrame:
    cells = itertools.product(table.rows["trial_id"], ks, range(3))
    values = [{"trial_id": t, "forgotten": float(k), "epoch": float(e), "accuracy": 0.5 + 0.1 * e} for t, k, e in cells]
    return pd.DataFrame(values)


def test_a_chart_a_k_shows_every_line_as_its_mean(table) -> None:
    made = charts(table, curves(table))
    assert [chart.title for chart in made] == ["Relearning, k = 0", "Relearning, k = 5"]
    for chart in made:
        (records,) = chart.datasets.values()
        frame = pd.DataFrame(records)
        assert frame["line"].unique().tolist() == ["Original", "Retrain", "SCRUB"]
        assert all(np.allclose(own["accuracy"], [50, 60, 70]) for _, own in frame.groupby("line"))


def test_a_k_that_was_not_measured_has_no_chart(table) -> None:
    found = curves(table)
    found.loc[(found["forgotten"] == 5) & (found["epoch"] > 0), "accuracy"] = np.nan
    assert len(charts(table, found)) == 1
    assert charts(table, found[found["forgotten"] == 5]) == []
    assert charts(table, pd.DataFrame()) == []
