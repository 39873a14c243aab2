"""The three sentences at the head of the page, and what the page shows of tables and trials."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from orchestrator.report.build import build_report, sweep_reports
from orchestrator.report.frames.scope import select
from orchestrator.report.html.summary import summary
from orchestrator.report.html.trials import MOST, trial_parts, without_folders
from orchestrator.report.html.views import task_views
from orchestrator.results.sweep_records import SweepRecord


def report_of(rows, records=()):
    return build_report(select(rows, records))


def test_the_sentences_count_name_the_closest_and_test_it(make_rows) -> None:
    run, closest, told = summary(report_of(make_rows(seeds=range(5), noise=0.001)))
    assert run.startswith(
        "5 method variants, 1 backbone, 1 task, 2 kinds of forget sets and 5 seeds were run: 70 trials"
    )
    assert re.search(r"SCRUB in sample unlearning \(5 % of D\) \(gap [\d.]+ ± [\d.]+ points\)", closest)
    assert "in 2 of 2 blocks (differences under " in told


def test_without_enough_seeds_the_order_is_no_evidence(make_rows) -> None:
    assert "the order of methods is not evidence" in summary(report_of(make_rows(seeds=[0])))[2]


def test_blocks_with_nothing_to_forget_are_counted(make_rows) -> None:
    rows = make_rows(kinds=["sample"])
    same = rows["method"].isin(["original", "retrain"])
    rows.loc[same, "forget_accuracy"] = 0.9 + 0.01 * (-1) ** rows.loc[same, "seed"] * (rows["method"] == "original")
    assert "in 1 of 1 Original and Retrain do not differ on D_f" in summary(report_of(rows))[2]


def test_many_blocks_are_summed_up(make_rows) -> None:
    kinds = ["sample", "class", "speaker"]
    rows = pd.concat([make_rows(task=task, kinds=kinds, seeds=[0, 1]) for task in ("a", "b")], ignore_index=True)
    assert re.match(r"Closest to Retrain in the 6 blocks below: \w+ in \d", summary(report_of(rows))[1])


def test_views_are_all_tables_and_each_of_several_sweeps(make_rows) -> None:
    rows = make_rows(kinds=["sample"], seeds=[0, 1], backbones=["a", "b"])
    first = tuple(rows.loc[rows["seed"] == 0, "trial_id"])
    records = [
        SweepRecord("all", "1", {"seeds": [0, 1]}, tuple(rows["trial_id"]), "1"),
        SweepRecord("one seed", "2", {"seeds": [0]}, first, "2"),
    ]
    report = report_of(rows, records)
    (views,) = task_views(report, sweep_reports(report)).values()
    assert [view.label for view in views] == ["mean over backbones", "a", "b", "sweep all", "sweep one seed"]
    assert [view.chart_view for view in views] == ["0", "1", "2", "3", "4"]
    assert views[-1].blocks[0].rows[0].cells[-1].mean == "1/1"


def test_cells_have_mean_and_spread_and_the_closest_is_marked(make_rows) -> None:
    (views,) = task_views(report_of(make_rows(kinds=["sample"])), []).values()
    rows = views[0].blocks[0].rows
    assert [row.label for row in rows if row.best] == ["SCRUB"]
    assert rows[0].cells[0].spread.startswith(" ± ")
    assert float(rows[0].cells[0].mean) == pytest.approx(93, abs=1)


def test_all_trials_have_a_part_with_settings_figures_and_error(make_rows, change) -> None:
    rows = change(
        make_rows(kinds=["sample"], seeds=[0, 1]), {"method": "scrub", "seed": 1}, status="failed", error="x\nNo"
    )
    parts, number = trial_parts(report_of(rows))
    assert len(parts) == number == len(rows)
    (failed,) = [part for part in parts if part.status == "failed"]
    assert failed.error.endswith("No")
    assert "retry failed" in failed.advice
    assert ("learning_rate", "0.0001") in failed.settings
    done = next(part for part in parts if part.title == "SalUn")
    assert done.gap.startswith("gap ")
    assert dict(done.figures)["D_t accuracy"].endswith(" %")


def test_a_traceback_names_no_folder() -> None:
    said = 'Traceback\n  File "/home/someone/secret/a.py", line 3, in f\n  File "C:\\b\\c.py", line 4\nValueError: no'
    assert without_folders(said) == 'Traceback\n  File "a.py", line 3, in f\n  File "c.py", line 4\nValueError: no'


def test_of_many_trials_only_those_that_failed_and_the_closest_have_a_part(make_rows, change) -> None:
    rows = change(make_rows(kinds=["sample"], seeds=range(50)), {"method": "salun", "seed": 7}, status="diverged")
    parts, number = trial_parts(report_of(rows))
    assert number == 350 > MOST
    assert {part.title for part in parts} == {"SCRUB", "SalUn"}
    assert [part.status for part in parts if part.title == "SalUn"] == ["diverged"]
