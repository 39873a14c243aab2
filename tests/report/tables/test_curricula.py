"""Differences from the control, and which control a line has."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from orchestrator.evidence.paired import compare_paired
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.curricula import SCALE, against_controls, curricula_csv, curricula_markdown

METHODS = ["original", "retrain", "scrub"]
ORDERS = {"easy_first": -0.03, "hard_first": 0.02, "random": 0.0}  # and what each adds to D_f's accuracy


def with_modifiers(rows: pd.DataFrame, knob: str, value: dict, forget_shift: float) -> pd.DataFrame:
    """SCRUB's rows again, under a knob."""
    own = rows[rows["method"] == "scrub"].copy()
    own[knob] = json.dumps(value)
    own["forget_accuracy"] += forget_shift
    own["trial_id"] += json.dumps(value)
    return own


@pytest.fixture
def rows(make_rows):
    return make_rows(methods=METHODS, seeds=[0, 1, 2], kinds=["sample", "class"])


def compared(*parts: pd.DataFrame) -> pd.DataFrame:
    return against_controls(reported(with_gaps(prepare(pd.concat(parts, ignore_index=True))))[0])


def test_an_order_is_compared_with_random_order_on_the_same_forget_sets(rows) -> None:
    found = compared(rows, *(with_modifiers(rows, "curriculum", {"order": o}, s) for o, s in ORDERS.items()))
    assert set(found["line"]) == {"SCRUB + easy first", "SCRUB + hard first"}
    assert set(found["control"]) == {"SCRUB + random order"}
    assert set(found["task"]) == {"espeak_keywords", "all"}
    for row in found.to_dict("records"):
        shift = 100 * ORDERS[row["line"].removeprefix("SCRUB + ").replace(" ", "_")]
        assert row["n"] == 3
        assert row["forget_accuracy"].mean == pytest.approx(shift)
        assert row["forget_accuracy"].low == pytest.approx(shift)  # the same difference for every seed
        assert row["test_accuracy"].mean == pytest.approx(0)


def test_superloss_is_compared_with_its_shuffled_weights_and_else_with_the_plain_method(rows) -> None:
    plain = with_modifiers(rows, "superloss", {"strength": 1.0}, 0.05)
    shuffled = with_modifiers(rows, "superloss", {"strength": 1.0, "shuffled": True}, 0.01)
    alone, both = compared(rows, plain), compared(rows, plain, shuffled)
    assert set(alone["control"]) == {"SCRUB"}
    assert [row.mean for row in alone["forget_accuracy"]] == pytest.approx([5.0] * len(alone))
    assert set(both["line"]) == {"SCRUB + SuperLoss"}
    assert set(both["control"]) == {"SCRUB + SuperLoss (shuffled)"}
    assert [row.mean for row in both["forget_accuracy"]] == pytest.approx([4.0] * len(both))


def test_a_seed_with_an_unfinished_pair_is_left_out_and_counted(make_rows) -> None:
    rows = make_rows(methods=METHODS, seeds=[0, 1, 2], kinds=["sample", "class"])
    easy, control = (with_modifiers(rows, "curriculum", {"order": o}, ORDERS[o]) for o in ("easy_first", "random"))
    easy.loc[(easy["seed"] == 1) & (easy["unlearning"] == "class"), "status"] = "diverged"
    found = compared(rows, easy, control).set_index(["task", "unlearning"])
    assert found.loc[("espeak_keywords", "sample"), ["n", "unfinished"]].tolist() == [3, 0]
    for cell in (("espeak_keywords", "class"), ("all", "all")):
        assert found.loc[cell, ["n", "unfinished"]].tolist() == [2, 1]


def test_p_values_are_corrected_over_all_rows_of_the_table(rows) -> None:
    shift = {0: -0.05, 1: -0.03, 2: -0.01}
    parts = [with_modifiers(rows, "curriculum", {"order": o}, 0.0) for o in ORDERS]
    parts[0]["forget_accuracy"] += parts[0]["seed"].map(shift)
    found = compared(rows, *parts).set_index(["line", "task", "unlearning"])
    moved = found.loc["SCRUB + easy first"]
    alone = 2 * stats.t.sf(0.03 / (0.02 / 3**0.5), 2)
    assert len(found) == 6
    assert moved["p_forget_accuracy"].tolist() == pytest.approx([min(1.0, 6 * alone)] * 3)
    assert set(found.loc["SCRUB + hard first", "p_forget_accuracy"]) == {1.0}
    assert "p (Holm)" in curricula_markdown(found.reset_index())


def test_two_seeds_have_no_p_value(make_rows) -> None:
    rows = make_rows(methods=METHODS, seeds=[0, 1], kinds=["sample"])
    easy, control = (with_modifiers(rows, "curriculum", {"order": o}, ORDERS[o]) for o in ("easy_first", "random"))
    assert compared(rows, easy, control)["p_gap_mean"].isna().all()


def test_a_run_under_another_budget_is_no_control(rows) -> None:
    easy, control = (with_modifiers(rows, "curriculum", {"order": o}, ORDERS[o]) for o in ("easy_first", "random"))
    assert compared(rows, easy, control.assign(budget_fraction=0.123)).empty


def test_only_pairs_that_are_both_done_count_and_nothing_comes_of_none(rows) -> None:
    easy, control = (with_modifiers(rows, "curriculum", {"order": o}, ORDERS[o]) for o in ("easy_first", "random"))
    easy.loc[easy["seed"] == 1, "status"] = "failed"
    assert set(compared(rows, easy, control)["n"]) == {2}
    assert compared(rows, easy).empty
    assert compared(rows).empty


def test_the_table_and_the_csv_hold_every_line(rows) -> None:
    found = compared(rows, *(with_modifiers(rows, "curriculum", {"order": o}, s) for o, s in ORDERS.items()))
    assert len(curricula_markdown(found).splitlines()) == len(found) + 2
    assert (
        curricula_csv(found).decode().count("SCRUB + easy first")
        == len(SCALE) * (found["line"] == "SCRUB + easy first").sum()
    )


def test_from_ten_seeds_on_the_interval_is_that_of_the_test_which_p_is_of(make_rows) -> None:
    rows = make_rows(methods=METHODS, seeds=list(range(12)), kinds=["sample"])
    parts = [with_modifiers(rows, "curriculum", {"order": o}, 0.0) for o in ("easy_first", "random")]
    shifts = np.random.default_rng(3).exponential(0.02, 12) - 0.005
    parts[0]["forget_accuracy"] += parts[0]["seed"].map(dict(enumerate(shifts)))
    (row,) = compared(rows, *parts).to_dict("records")
    test = compare_paired(100 * shifts)
    assert test.test == "bootstrap"
    shown = row["forget_accuracy"]
    assert (shown.low, shown.high) == pytest.approx((test.low, test.high))
    assert row["p_forget_accuracy"] == pytest.approx(test.p)
