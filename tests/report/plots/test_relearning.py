"""Curves of the relearning attack."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.plots.relearning import relearning_plot
from orchestrator.report.tables.model import build_tables


@pytest.fixture
def table(make_rows):
    rows = make_rows(kinds=["sample"], methods=["original", "retrain", "scrub"], seeds=[0, 1])
    return build_tables(reported(with_gaps(prepare(rows)))[0])[0]


def curves(table, ks=(0, 5)) -> pd.DataFrame:
    cells = itertools.product(table.rows["trial_id"], ks, range(3))
    values = [{"trial_id": t, "forgotten": k, "epoch": e, "accuracy": 0.5 + 0.1 * e} for t, k, e in cells]
    return pd.DataFrame(values)


def test_a_panel_a_k_shows_every_line_as_its_mean(table) -> None:
    made = relearning_plot(table, curves(table))
    assert [ax.get_title()[-5:] for ax in made.axes] == ["k = 0", "k = 5"]
    for ax in made.axes:
        assert [line.get_label() for line in ax.lines] == ["Original", "Retrain", "SCRUB"]
        assert all(np.allclose(line.get_ydata(), [50, 60, 70]) for line in ax.lines)


def test_a_k_that_was_not_measured_has_no_panel_and_no_curves_no_figure(table) -> None:
    found = curves(table)
    found.loc[(found["forgotten"] == 5) & (found["epoch"] > 0), "accuracy"] = np.nan
    assert len(relearning_plot(table, found).axes) == 1
    assert relearning_plot(table, found[found["forgotten"] == 5]) is None
