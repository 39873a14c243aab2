"""Harmful and random requests of one size: errors by ratio, what the harmful ones cost more, and what is noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from report.leaderboard.test_page import cells_of

from orchestrator.report.charts.chart import Chart
from orchestrator.report.leaderboard.harmful import APART, harm_by_ratio, harmful_pieces

METHODS = ["original", "retrain", "scrub"]
ERRORS = {("retrain", "harmful"): 0.2, ("scrub", "harmful"): 0.16}


@pytest.fixture(scope="module")
def rows(make_rows):
    """Errors of 10 %, for Retrain and SCRUB more after harmful requests, in proportion to their size."""
    made = make_rows(methods=METHODS, kinds=["sample"], ratios=(0.05, 0.1), seeds=[0, 1, 2]).assign(num_classes=12)
    both = []
    for rule in ("random", "harmful"):
        own = made.assign(forget_rule=rule)
        for name in ("trial_id", "parent_retrain"):
            own[name] += f"-{rule}"
        both.append(own)
    found = pd.concat(both, ignore_index=True)
    more = np.array([ERRORS.get(key, 0.1) - 0.1 for key in zip(found["method"], found["forget_rule"], strict=True)])
    small = np.where(found["method"] == "scrub", 0.02 * (found["seed"] - 1), 0.0)  # of harmful and random alike
    uneven = np.where(found["forget_rule"] == "harmful", 0.001 * found["seed"], 0.0) * (more != 0)
    return found.assign(test_accuracy=0.9 - more * found["requested_forget_ratio"] / 0.1 - small - uneven)


def test_the_difference_is_paired_by_seed_and_the_cost_is_for_each_percent(rows) -> None:
    ((name, found),) = harm_by_ratio(cells_of(rows)).items()
    assert name == "espeak_keywords, whisper_nano"
    at = {(one.method, one.ratio): one for one in found}
    large, small = at["scrub", 0.1], at["scrub", 0.05]
    assert large.harmful.mean == pytest.approx(16.1)
    assert large.more.mean == pytest.approx(6.1)
    assert large.more.high - large.more.mean < 0.5 < large.harmful.high - large.harmful.mean
    assert large.cost.mean == pytest.approx(0.61)
    assert small.more.mean == pytest.approx(3.1)


def test_the_table_marks_what_is_no_noise_and_original_has_no_difference(rows) -> None:
    pieces = harmful_pieces(cells_of(rows))
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in pieces[3].splitlines()]
    assert table[0][:5] == ["Method", "5 %: random", "harmful", "more", "per 1 %"]
    shown = {row[0]: row[1:] for row in table[2:]}
    assert shown["Original"][2:4] == ["–", "–"]
    assert shown["Retrain"][2].endswith(APART)


def test_each_method_has_a_panel_with_both_rules(rows) -> None:
    (drawn,) = [piece for piece in harmful_pieces(cells_of(rows)) if isinstance(piece, Chart)]
    (records,) = drawn.datasets.values()
    assert {(one["line"], one["series"]) for one in records} == {
        (line, rule) for line in ("Retrain", "SCRUB") for rule in ("harmful", "random")
    }


def test_without_a_random_request_there_is_no_section(rows) -> None:
    assert harmful_pieces(cells_of(rows[rows["forget_rule"] == "harmful"])) == []
