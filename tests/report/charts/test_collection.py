"""Every chart of a block follows the table that is shown: the mean, one backbone, or one sweep."""

from __future__ import annotations

import pandas as pd
import pytest

from orchestrator.report.charts.chart import VIEW
from orchestrator.report.charts.collection import task_charts
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.model import build_tables
from orchestrator.results.curves import CURVE_SCHEMA


def tables(rows):
    return build_tables(reported(with_gaps(prepare(rows)))[0])


@pytest.fixture
def rows(make_rows):
    """Two backbones; every run of one of them gives one answer."""
    made = make_rows(methods=["original", "retrain", "scrub", "salun"], backbones=["a", "b"], seeds=[0, 1])
    made["collapsed"] = made["backbone"] == "b"
    made["test_largest_prediction_share"] = 0.9
    made["budget_used"] = 0.5
    return made


def curves_of(trial_ids) -> pd.DataFrame:
    points = [
        {
            "trial_id": trial_id,
            "point": "epoch",
            "seconds": float(n),
            "forget_accuracy": 0.5,
            "validation_accuracy": 0.5,
        }
        for trial_id in trial_ids
        for n in range(2)
    ]
    return pd.DataFrame(points).reindex(columns=["trial_id", *CURVE_SCHEMA.names])


def relearned(rows) -> pd.DataFrame:
    cells = [(trial_id, epoch) for trial_id in rows["trial_id"] for epoch in range(2)]
    return pd.DataFrame([{"trial_id": t, "forgotten": 5.0, "epoch": float(e), "accuracy": 0.5} for t, e in cells])


def test_charts_show_the_mean_each_backbone_and_each_sweep(rows) -> None:
    class_only = tables(rows[rows["unlearning"] == "class"])[0]
    own = tables(rows)
    (charts,) = task_charts(own, relearned=relearned(rows), curves=curves_of, sweeps=[class_only]).values()
    assert {chart.name.rsplit("--", 1)[1] for chart in charts} == {
        "forget-against-test", "gap-to-retrain", "cost", "budget", "collapse", "relearning-5", "forget-over-time",
        "validation-over-time",
    }  # fmt: skip
    for chart in charts:
        assert chart.views == ((0, 1, 2, 3) if "--class--" in chart.name else (0, 1, 2)), chart.name
        assert {"name": VIEW, "value": 0} in chart.spec["params"]
        assert chart.svg.count("<path") > 3


def test_a_view_of_a_backbone_has_its_own_runs_only(rows) -> None:
    (charts,) = task_charts(tables(rows), curves=curves_of).values()
    chart = next(one for one in charts if one.name.endswith("--class--forget-over-time"))
    (records,) = chart.datasets.values()
    of_view = [{one["run"].partition(",")[0] for one in records if place in one["views"] and "run" in one}
               for place in range(3)]  # fmt: skip
    assert of_view == [{"a", "b"}, {"a"}, {"b"}]
    assert sorted(one["views"] for one in records if "end" in one) == [[0], [1], [2]]


def test_of_many_trials_a_chart_says_how_many_it_draws(make_rows) -> None:
    rows = make_rows(kinds=["sample"], methods=["original", "retrain", "scrub", "salun"], seeds=range(31))
    (charts,) = task_charts(tables(rows), curves=curves_of).values()
    chart = next(one for one in charts if one.name.endswith("--forget-over-time"))
    assert chart.text.startswith("A curve for 60 of 62 trials (the first seeds)")
