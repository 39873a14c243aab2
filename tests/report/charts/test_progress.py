"""Curves over charged time, from the files that trials leave."""

from __future__ import annotations

import pytest

from orchestrator.report.build import folder_report
from orchestrator.report.charts.progress import progress_charts
from orchestrator.report.charts.style import marks
from orchestrator.report.evidence.folder import readers_of
from orchestrator.results.curves import read_curves
from orchestrator.results.store import open_store


def test_every_trial_of_a_method_has_its_curve(finished_small) -> None:
    store = open_store(finished_small / "r")
    table = folder_report(store).tables[0]
    forget, validation = progress_charts([table], readers_of(store).curves, "t", marks(table.blocks[0].lines))
    stored = read_curves(store)
    unlearned = table.rows[~table.rows["method"].isin(["original", "retrain"])]
    for chart, part in ((forget, "forget"), (validation, "validation")):
        (records,) = chart.datasets.values()
        records = [one for one in records if "line" in one]  # the others are where Retrain ends
        assert {one["line"] for one in records} == set(unlearned["label"])
        for trial_id, label in zip(unlearned["trial_id"], unlearned["label"], strict=True):
            wanted = 100 * stored.loc[stored["trial_id"] == trial_id, f"{part}_accuracy"]
            assert [one[part] for one in records if one["line"] == label] == pytest.approx(wanted, abs=1e-3)
        assert "charged time" in chart.svg
    assert "where Retrain ends" in forget.text


def test_trials_without_curves_have_no_chart(finished_small) -> None:
    store = open_store(finished_small / "r")
    table = folder_report(store).tables[0]
    assert progress_charts([table], lambda ids: read_curves(store, []), "t", marks(table.blocks[0].lines)) == []
