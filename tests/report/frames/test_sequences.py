"""Sequences in tables and plots, on made-up rows."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from orchestrator.report.build import build_report
from orchestrator.report.charts.collection import task_charts
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.scope import select
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.frames.sequences import sequences
from orchestrator.report.tables.csv import tidy
from orchestrator.report.tables.markdown import table_markdown
from orchestrator.report.tables.model import build_tables
from orchestrator.report.tables.terminal import terminal_tables
from orchestrator.report.write import write_files

SMALL, LARGE, CLASS = (
    {"kind": "sample", "forget_ratio": 0.02},
    {"kind": "sample", "forget_ratio": 0.1},
    {"kind": "class"},
)
METHODS = ("original", "retrain", "grad_ascent", "scrub")


def of_request(make_rows, *asked, planned=0, name="monthly", **kwargs) -> pd.DataFrame:
    """Rows of the last of these requests, after the others."""
    *before, own = asked
    ratio = own.get("forget_ratio", 0.02)
    rows = make_rows(kinds=[own["kind"]], ratios=[ratio], methods=METHODS, seeds=(0, 1, 2), **kwargs)
    suffix = f"-after-{json.dumps(before)}" if before else ""
    rows["trial_id"] += suffix
    rows["parent_retrain"] += suffix
    rows["recipe"] = json.dumps({"forget": {"settings": own}})
    rows["requests_before"] = json.dumps(before) if before else ""
    if planned:
        rows["sequence"], rows["sequence_step"], rows["sequence_steps"] = name, len(asked), planned
    if before:
        known = {"original": 0.95, "retrain": 0.80, "grad_ascent": 0.40, "scrub": 0.90}
        rows["forgotten_before_accuracy"] = rows["method"].map(known)
    return rows


@pytest.fixture
def three(make_rows) -> pd.DataFrame:
    asked = [SMALL, SMALL, CLASS]
    return pd.concat([of_request(make_rows, *asked[: n + 1], planned=3) for n in range(3)], ignore_index=True)


def lines(rows: pd.DataFrame) -> pd.DataFrame:
    return reported(with_gaps(prepare(rows)))[0]


def test_a_sequence_has_a_block_a_request_in_their_order(three):
    (table,) = build_tables(lines(three))
    assert table.title.startswith("espeak_keywords, sequence monthly, whisper_nano")
    assert [block.title.split(" (")[0] for block in table.blocks] == [
        "Sample Unlearning, request 1 of 3", "Sample Unlearning, request 2 of 3", "Class Unlearning, request 3 of 3",
    ]  # fmt: skip
    for block in table.blocks:
        assert [line.method for line in block.lines] == list(METHODS)
        assert all(line.coverage.complete for line in block.lines)


def test_equal_requests_of_one_sequence_do_not_supersede_each_other(three):
    assert len(lines(three)) == len(three)


def test_forgotten_before_stands_beside_its_gap_to_the_retrain_of_the_same_step(three):
    (table,) = build_tables(lines(three))
    assert [m.title for m in table.columns if m.column.endswith(("_before", "before_accuracy"))] == [
        "Forgotten before",
        "its gap",
    ]
    first, second, _ = table.blocks
    found = {line.method: line.summaries["gap_forgotten_before"] for line in second.lines}
    assert found["scrub"].mean == pytest.approx(10)
    assert found["grad_ascent"].mean == pytest.approx(40)
    assert found["retrain"].n == 0
    assert all(line.summaries["forgotten_before_accuracy"].n == 0 for line in first.lines)
    text = table_markdown(table)
    assert "90.0" in text


def test_requests_that_are_met_alone_keep_tables_of_their_own(three, make_rows):
    alone, in_turn = build_tables(lines(pd.concat([three, of_request(make_rows, LARGE)], ignore_index=True)))[::2]
    (block,) = alone.blocks
    assert sorted(block.rows["requested_forget_ratio"].unique()) == [0.02, 0.1]  # a first request is one alone, too
    assert set(block.rows["requests_before"]) == {""}
    assert not any(measure.column == "forgotten_before_accuracy" for measure in alone.columns)
    assert in_turn.sequence == "monthly"
    assert len(in_turn.blocks) == 3


def test_sequences_that_begin_alike_share_their_first_rows_and_a_longer_one_takes_in_a_shorter(three, make_rows):
    other = of_request(make_rows, SMALL, LARGE, planned=2, name="other")
    monthly, forked = sequences(prepare(pd.concat([three, other], ignore_index=True)))
    assert (monthly.name, monthly.steps, forked.name, forked.steps) == ("monthly", 3, "other", 2)
    shared = set(monthly.rows["trial_id"]) & set(forked.rows["trial_id"])
    assert shared == set(forked.rows.loc[forked.rows["request"] == 1, "trial_id"])


def test_a_sequence_that_is_not_finished_says_how_many_requests_were_planned(three):
    (table,) = build_tables(lines(three[three["sequence_step"] < 3]))
    assert [block.title.split(" (")[0] for block in table.blocks] == [
        "Sample Unlearning, request 1 of 3", "Sample Unlearning, request 2 of 3",
    ]  # fmt: skip
    assert sequences(prepare(three[three["sequence_step"] == 1])) == []


def test_different_sequences_of_one_name_are_told_apart(three, make_rows):
    other = of_request(make_rows, SMALL, LARGE, planned=2, name="monthly")
    found = sequences(prepare(pd.concat([three, other], ignore_index=True)))
    assert sorted(one.name for one in found) == ["monthly", "monthly (2)"]


def test_several_backbones_have_a_table_each_beside_their_mean(make_rows):
    kwargs = {"backbones": ("whisper_nano", "hubert_nano")}
    rows = [of_request(make_rows, SMALL, planned=2, **kwargs), of_request(make_rows, SMALL, CLASS, planned=2, **kwargs)]
    tables = build_tables(lines(pd.concat(rows, ignore_index=True)))
    assert [table.name for table in tables] == [
        f"espeak_keywords--sequence--monthly{end}" for end in ("", "--hubert_nano", "--whisper_nano")
    ]


def test_the_charts_follow_every_line_over_the_requests(three):
    (table,) = build_tables(lines(three))
    charts = {chart.name.rsplit("--", 1)[1]: chart for chart in task_charts([table])[table.name]}
    assert {"test-by-request", "forget-by-request", "before-by-request"} <= set(charts)
    (records,) = charts["before-by-request"].datasets.values()
    means = [one for one in records if one["of"] == "mean"]
    assert sorted({one["at"] for one in means}) == [1, 2, 3]
    before = {one["line"]: [m["before"] for m in means if m["line"] == one["line"] and "before" in m] for one in means}
    assert before["SCRUB"] == pytest.approx([90, 90])
    assert before["Retrain"] == pytest.approx([80, 80])


def test_report_csv_and_terminal_have_the_sequence(three, tmp_path):
    files = {path.name for path in write_files(build_report(select(three)), tmp_path)}
    assert {
        "espeak_keywords--sequence--monthly.tex",
        "espeak_keywords--sequence--monthly.csv",
        "espeak_keywords--sequence--monthly--forget-by-request.svg",
        "espeak_keywords--sequence--monthly--forget-by-request.pdf",
    } <= files
    (table,) = build_tables(lines(three))
    frame = tidy(table)
    assert frame["request"].unique().tolist() == [1, 2, 3]
    assert set(frame["sequence"]) == {"monthly"}
    titles = [str(getattr(shown, "title", "")) for shown in terminal_tables(build_report(select(three)).tables)]
    assert sum("request 2 of 3" in title for title in titles) == 1
