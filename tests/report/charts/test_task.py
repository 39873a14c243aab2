"""What charts draw: records of lines and of the seeds behind them, marks, and Vega-Lite that renders."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

from orchestrator.report.charts.collection import task_charts
from orchestrator.report.charts.data import block_key, pareto_front, records, views
from orchestrator.report.charts.search import search_charts
from orchestrator.report.charts.style import marks
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.model import build_tables


def tables(rows):
    return build_tables(reported(with_gaps(prepare(rows)))[0])


def charts_of(rows) -> dict:
    """Charts of all tables, by the last part of their names."""
    found = task_charts(tables(rows))
    return {chart.name.split("--", 1)[1]: chart for charts in found.values() for chart in charts}


def test_records_have_the_means_of_the_table_and_the_seeds_behind_them(make_rows) -> None:
    (table,) = tables(make_rows(kinds=["sample"]))
    found = records([table])
    for line in table.blocks[0].lines:
        mean, *units = [one for one in found if one["line"] == line.label]
        assert mean["forget"] == pytest.approx(100 * line.summaries["forget_accuracy"].mean, abs=1e-3)
        assert mean["forget_low"] <= mean["forget"] <= mean["forget_high"] <= 100
        assert [one["of"] for one in units] == ["unit"] * 5
        assert np.mean([one["forget"] for one in units]) == pytest.approx(mean["forget"], abs=1e-3)


def test_views_are_the_mean_and_each_backbone(make_rows) -> None:
    made = tables(make_rows(kinds=["sample"], backbones=["a", "b"], ratios=[0.01, 0.1]))
    assert [table.backbones for table in views(made)] == [("a", "b"), ("a",), ("b",)]
    assert {one["view"] for one in records(views(made))} == {0, 1, 2}


def test_a_method_on_the_front_is_beaten_by_none_in_both(make_rows) -> None:
    block = tables(make_rows(kinds=["sample"]))[0].blocks[0]
    front = pareto_front(block)
    target = next(line for line in block.lines if line.method == "retrain").summaries["forget_accuracy"].mean
    points = {
        line.label: (abs(line.summaries["forget_accuracy"].mean - target), -line.summaries["test_accuracy"].mean)
        for line in block.lines
        if line.method not in ("original", "retrain")
    }
    for label, (away, lost) in points.items():
        beaten = any(a < away and t < lost for other, (a, t) in points.items() if other != label)
        assert (label in front) is not beaten


def test_every_line_has_a_mark_of_its_own(make_rows) -> None:
    (table,) = tables(make_rows(kinds=["sample"], superloss=["scrub", "salun", "random_label"]))
    found = marks(table.blocks[0].lines)
    assert len(set(found.values())) == len(table.blocks[0].lines)


def test_a_block_has_charts_of_what_was_measured_and_each_renders(make_rows) -> None:
    found = charts_of(make_rows(kinds=["sample"], methods=["original", "retrain", "scrub"], seeds=[0, 1]))
    assert set(found) == {"forget-against-test", "gap-to-retrain", "cost"}  # no budget was recorded
    for chart in found.values():
        assert "SCRUB" in chart.svg
        assert chart.svg_file().startswith(b"<svg ")
        assert "currentColor" in chart.svg  # it suits light and dark


def test_methods_are_listed_by_their_mean_gap(make_rows, change) -> None:
    rows = make_rows(kinds=["sample"], seeds=[0, 1, 2])
    rows = change(rows, {"method": "random_label", "seed": 0}, test_accuracy=0.80)  # the largest of single runs
    (table,) = tables(rows)
    lines = [line for line in table.blocks[0].lines if line.method != "retrain"]
    wanted = [line.label for line in sorted(lines, key=lambda line: line.gap)]
    svg = charts_of(rows)["gap-to-retrain"].svg
    labels = re.findall(r"translate\(-7,([\d.]+)\)[^>]*>([^<]+)</text>", svg)
    assert [label for _, label in sorted(labels, key=lambda one: float(one[0]))] == wanted


def test_a_method_without_a_gap_says_why(make_rows, change) -> None:
    rows = make_rows(kinds=["sample"], methods=["original", "retrain", "scrub", "salun"], seeds=[0, 1])
    drawn = charts_of(change(rows, {"method": "scrub"}, status="diverged"))["gap-to-retrain"]
    assert "2 diverged" in drawn.svg


def test_curves_over_ratios_pass_through_the_means_with_bands(make_rows) -> None:
    rows = make_rows(kinds=["sample"], ratios=[0.01, 0.05, 0.1], methods=["original", "retrain", "scrub"])
    chart, by_ratio = charts_of(rows)["forget-by-ratio"], tables(rows)[-1]
    (found,) = chart.datasets.values()
    means = [one for one in found if one["line"] == "SCRUB" and one["of"] == "mean"]
    wanted = [
        100 * next(line for line in block.lines if line.method == "scrub").summaries["forget_accuracy"].mean
        for block in by_ratio.blocks
    ]
    assert [one["at"] for one in means] == [1, 5, 10]
    assert [one["forget"] for one in means] == pytest.approx(wanted, abs=1e-3)
    assert all(one["forget_low"] < one["forget"] < one["forget_high"] for one in means)
    assert chart.svg.count("<path") > 9


def test_the_best_so_far_never_rises_and_lost_trials_have_no_objective(make_search_rows) -> None:
    (chart,) = search_charts(prepare(make_search_rows(trials=10)))
    (trials,) = chart.datasets.values()
    assert {one["line"] for one in trials} == {"SCRUB", "SalUn"}
    for line in ("SCRUB", "SalUn"):
        own = [one for one in trials if one["line"] == line]
        best = [one["best"] for one in own]
        assert best == sorted(best, reverse=True)
        assert [one["trial"] for one in own if "objective" not in one] == [4, 9]
    assert "2 searches, 20 trials, of which 4 diverged" in chart.text
    assert "SCRUB" in chart.svg


def test_of_many_trials_those_are_drawn_that_were_better_than_all_before(make_search_rows) -> None:
    rows = prepare(make_search_rows(trials=400))
    (chart,) = search_charts(rows)
    (trials,) = chart.datasets.values()
    drawn = [one["objective"] for one in trials if one["line"] == "SCRUB" and "objective" in one]
    assert drawn == sorted(drawn, reverse=True)
    assert len(trials) < 60
    assert min(drawn) == pytest.approx(rows.loc[rows["method"] == "scrub", "objective"].min(), abs=1e-6)
    assert max(one["trial"] for one in trials) == 399


def test_no_search_no_chart(make_rows) -> None:
    assert search_charts(prepare(make_rows())) == []


def test_equal_charts_have_equal_specifications(make_rows) -> None:
    rows = make_rows(kinds=["sample"], methods=["original", "retrain", "scrub"], seeds=[0, 1])
    first, second = (charts_of(rows)["forget-against-test"] for _ in range(2))
    assert json.dumps(first.spec) == json.dumps(second.spec)  # no number of calls in the names of its parts


def test_pdfs_of_equal_charts_are_equal(make_rows) -> None:
    found = charts_of(make_rows(kinds=["sample"], methods=["original", "retrain", "scrub"], seeds=[0, 1]))
    for chart in found.values():
        pdf = chart.pdf_file()
        assert pdf.startswith(b"%PDF-")
        assert all(chart.pdf_file() == pdf for _ in range(3))


def test_requests_of_one_kind_for_something_else_are_charts_of_their_own(make_rows) -> None:
    rows = make_rows(kinds=["mislabeled"], backbones=["a"])
    half = rows.assign(trial_id=rows["trial_id"] + "-half", known_share=0.5)
    (table,) = tables(pd.concat([rows, half], ignore_index=True))
    assert len({block_key(block) for block in table.blocks}) == len(table.blocks) == 2
