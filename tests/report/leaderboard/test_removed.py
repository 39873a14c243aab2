"""All that a sequence has removed so far, after each request, next to one request for the same classes."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from orchestrator.report.charts.chart import Chart
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.leaderboard.removed import ACCURACY, REMOVED_AUC, removed_pieces, removed_so_far

REQUESTS = [{"kind": "class"}, {"kind": "class", "classes": ["no"]}]
OWN = {"original": 1.0, "retrain": 0.0, "scrub": 0.1, "bad_teacher": 0.3}  # accuracy on D_f after each request
BEFORE = {"original": 1.0, "retrain": 0.0, "scrub": 0.5, "bad_teacher": 0.3}  # on what the first request removed
GROUP = {"original": 1.0, "retrain": 0.0, "scrub": 0.05, "bad_teacher": 0.2}


@pytest.fixture(scope="module")
def rows(make_rows):
    """Two requests of 30 and 10 utterances, and one for both, over two seeds."""
    base = make_rows(methods=list(OWN), kinds=["class"], seeds=[0, 1])
    steps = []
    for step, name in enumerate(("yes", "no"), 1):
        own = base.assign(
            forget_classes=name, num_forget=[30.0, 10.0][step - 1], forget_accuracy=base["method"].map(OWN)
        )
        own["trial_id"] += f"-{step}"
        own["parent_retrain"] += f"-{step}"
        own["recipe"] = json.dumps({"forget": {"settings": REQUESTS[step - 1]}})
        own["sequence"], own["sequence_step"], own["sequence_steps"] = "two", float(step), 2.0
        if step == 2:
            own["requests_before"] = json.dumps(REQUESTS[:1])
            own["num_forgotten_before"], own["forgotten_before_accuracy"] = 30.0, own["method"].map(BEFORE)
        steps.append(own)
    group = base.assign(forget_classes="no,yes", num_forget=40.0, forget_accuracy=base["method"].map(GROUP))
    group["recipe"] = json.dumps({"forget": {"settings": {"kind": "class", "num_classes": 2}}})
    group["trial_id"] += "-group"
    group["parent_retrain"] += "-group"
    found = reported(with_gaps(prepare(pd.concat([*steps, group], ignore_index=True))))[0]
    return found.assign(loss_auc=0.7, earlier_auc=0.5)


def test_accuracy_is_over_all_that_was_removed_so_far_and_the_group_is_found(rows) -> None:
    (one,) = removed_so_far(rows)
    scrub = next(variant for variant, (_, method) in one.lines.items() if method == "scrub")
    found = one.values[ACCURACY]
    assert one.steps == 2
    assert found[scrub, 1].mean == pytest.approx(0.1)
    assert found[scrub, 2].mean == pytest.approx((10 * 0.1 + 30 * 0.5) / 40)
    assert found[scrub, 0].mean == pytest.approx(0.05)
    assert one.values[REMOVED_AUC][scrub, 2].mean == pytest.approx((10 * 0.7 + 30 * 0.5) / 40)
    assert one.values[REMOVED_AUC][scrub, 0].mean == pytest.approx(0.7)
    assert {summary.n for summary in found.values()} == {2}


def test_a_request_for_other_classes_is_no_group(rows) -> None:
    other = rows.assign(forget_classes=rows["forget_classes"].replace("no,yes", "no,up"))
    (one,) = removed_so_far(other)
    assert {request for _, request in one.values[ACCURACY]} == {1, 2}


def test_the_table_marks_the_closest_after_the_last_request(rows) -> None:
    pieces = removed_pieces(rows)
    assert pieces[0] == "## Removed so far: espeak_keywords, whisper_nano: two"
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in pieces[4].splitlines()]
    assert table[0] == ["Method", "1", "2", "In one request"]
    shown = {row[0]: row[1:] for row in table[2:]}
    assert shown["Bad-T"] == ["30.0 [30.0, 30.0]", "**30.0 [30.0, 30.0]**", "20.0 [20.0, 20.0]"]
    assert shown["SCRUB"] == ["10.0 [10.0, 10.0]", "40.0 [40.0, 40.0]", "5.0 [5.0, 5.0]"]
    assert shown["Retrain"] == ["0.0 [0.0, 0.0]"] * 3


def test_a_column_in_which_original_is_retrain_is_italic_and_has_no_closest(rows) -> None:
    table = removed_pieces(rows)[8]
    assert "*0.550 [0.550, 0.550]*" in table
    assert "**" not in table


def test_each_panel_has_the_sequence_retrain_and_the_group(rows) -> None:
    drawn = [piece for piece in removed_pieces(rows) if isinstance(piece, Chart)]
    (records,) = drawn[0].datasets.values()
    own = [(r["series"], r["x"], r["y"]) for r in records if r["line"] == "SCRUB"]
    assert own == [
        ("in sequence", 1, 10.0), ("in sequence", 2, 40.0), ("Retrain", 1, 0.0), ("Retrain", 2, 0.0),
        ("in one request", 2, 5.0),
    ]  # fmt: skip
    assert {r["line"] for r in records} == {"Original", "SCRUB", "Bad-T"}
    assert len(drawn) == 2


def test_rows_without_sequences_have_no_section(rows) -> None:
    assert removed_pieces(rows[rows["sequence"] == ""]) == []
