"""Original minus Retrain stands first, and columns in which it is noise are gray."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.frames.summary import summarize
from orchestrator.report.tables.cells import body, header
from orchestrator.report.tables.columns import FORGET, MIA, TEST
from orchestrator.report.tables.latex import table_latex
from orchestrator.report.tables.markdown import table_markdown
from orchestrator.report.tables.model import build_tables
from orchestrator.report.tables.notes import block_notes
from orchestrator.report.tables.significance import (
    exact_interval,
    headline,
    is_uninformative,
    is_within_noise,
    original_minus_retrain,
    verdict,
    within_seeds,
)


def table_of(rows):
    return build_tables(reported(with_gaps(prepare(rows)))[0])[0]


@pytest.fixture
def memorized(make_rows):
    """Original is nine points above Retrain on D_f."""
    return table_of(make_rows(kinds=["sample"], noise=0.005))


@pytest.fixture
def nothing_to_forget(make_rows):
    """Original classifies D_f as Retrain does, a little more often or less; the attack tells them apart."""
    rows = make_rows(kinds=["sample"], noise=0.005)
    target = rows[rows["method"] == "retrain"].set_index("seed")["forget_accuracy"]
    original = rows["method"] == "original"
    shifts = rows.loc[original, "seed"].map(lambda seed: 0.004 * (-1) ** seed)
    rows.loc[original, "forget_accuracy"] = rows.loc[original, "seed"].map(target) + shifts
    return table_of(rows)


@pytest.mark.parametrize(
    ("values", "noise"),
    [
        ([], False), ([3.0], False), ([0.0], True), ([1.0, 3.0], False), ([-1.0, 3.0], True), ([0.0, 0.0], True),
        ([4.0, 5.0, 6.0], False), ([-1.0, 2.0, 4.0], True), ([-4.0, -5.0, -6.0], False),
    ],
)  # fmt: skip
def test_noise_is_an_interval_or_a_range_that_holds_zero(values, noise: bool) -> None:
    assert is_within_noise(summarize(values)) is noise


def test_the_difference_on_the_forget_set_stands_before_every_number(memorized) -> None:
    block = memorized.blocks[0]
    found = original_minus_retrain(block)
    assert found.mean == pytest.approx(9, abs=1)
    said = f"Original − Retrain on D_f: {found.mean:.1f} ±"
    assert said in headline(block)
    assert block_notes(block)[0].text.startswith(said)
    text = table_markdown(memorized)
    assert text.index(said) < text.index("| Original")


def test_columns_in_which_original_and_retrain_differ_are_not_grey(memorized) -> None:
    assert not any(row.gray for row in body(memorized, memorized.blocks[0]))
    assert "textcolor" not in table_latex(memorized)


def test_where_there_is_nothing_to_forget_the_column_is_grey_and_no_other(nothing_to_forget) -> None:
    block = nothing_to_forget.blocks[0]
    assert is_uninformative(block, FORGET)
    assert not is_uninformative(block, MIA)
    assert not is_uninformative(block, TEST)  # it says nothing of forgetting
    place = header(nothing_to_forget).index("D_f")
    assert {row.gray for row in body(nothing_to_forget, block)} == {frozenset({place})}


def test_grey_is_italic_in_markdown_and_gray_in_latex(nothing_to_forget) -> None:
    block = nothing_to_forget.blocks[0]
    place = header(nothing_to_forget).index("D_f")
    lines = table_markdown(nothing_to_forget).splitlines()
    cells = [line.split("|")[1:-1] for line in lines if line.startswith("|")]
    of_methods = [row for row in cells if row[0].strip().strip("*") in {line.label for line in block.lines}]
    assert len(of_methods) == len(block.lines)
    assert all(re.fullmatch(r"\*[^*]+\*", row[place].strip()) for row in of_methods)
    assert table_latex(nothing_to_forget).count(r"\textcolor{gray}{") == len(block.lines)


def test_without_original_nothing_is_said_and_nothing_is_grey(make_rows) -> None:
    table = table_of(make_rows(kinds=["sample"], methods=["retrain", "scrub"]))
    assert headline(table.blocks[0]) == table.blocks[0].title
    assert not is_uninformative(table.blocks[0], FORGET)


def block_of(make_rows, of: int, original, retrain, **kwargs):
    """A block in which Original and Retrain classify so many of `of` utterances, a value for each seed."""
    rows = make_rows(kinds=["sample"], methods=["original", "retrain", "scrub"], seeds=range(len(original)), **kwargs)
    rows["num_forget"] = of
    for method, found in (("original", original), ("retrain", retrain)):
        mine = rows["method"] == method
        rows.loc[mine, "forget_accuracy"] = rows.loc[mine, "seed"].map(lambda seed, found=found: found[seed] / of)
    return table_of(rows).blocks[0]


def test_exact_intervals_are_those_of_clopper_and_pearson() -> None:
    # Ten of ten: the lower end is 0.025 ** (1 / 10); one of four is a table's value.
    assert exact_interval(10, 10) == (pytest.approx(0.025**0.1), 1.0)
    assert exact_interval(1, 4) == (pytest.approx(0.0063, abs=1e-4), pytest.approx(0.8059, abs=1e-4))


@pytest.mark.parametrize(
    ("of", "original", "retrain", "wanted"),
    [
        (40, [40, 40], [0, 0], "above"),  # 100 against 0 % in two seeds
        (40, [40], [0], "above"),  # and in one
        (40, [0, 0], [40, 40], "below"),
        (5, [5, 5], [3, 3], "noise"),  # both seeds agree, but of five utterances
        (40, [40, 30], [0, 28], "noise"),  # one seed has nothing to forget
        (40, [40, 0], [0, 40], "noise"),  # seeds contradict each other
        (5, [5, 5, 5], [3, 3, 3], "above"),  # three seeds: the t-interval decides
        (40, [40, 20, 20], [0, 20, 20], "noise"),
    ],
)  # fmt: skip
def test_with_fewer_than_three_seeds_exact_intervals_decide(make_rows, of, original, retrain, wanted) -> None:
    block = block_of(make_rows, of, original, retrain)
    assert verdict(block) == wanted
    assert is_uninformative(block, FORGET) is (wanted == "noise")


def test_exact_intervals_are_printed_next_to_those_over_seeds(make_rows) -> None:
    text = block_notes(block_of(make_rows, 40, [40, 40], [0, 0]))[0].text
    assert "100.0 [100.0, 100.0] points (n = 2 seeds)" in text
    assert text.endswith(
        "exact 95 % intervals within a seed (40 utterances) do not overlap in 2 of 2: there is something to forget."
    )
    few = block_notes(block_of(make_rows, 5, [5, 5, 5], [3, 3, 3]))[0].text
    assert "within a seed (5 utterances) overlap in all 3: there is something to forget." in few


def test_with_two_backbones_each_must_pass_by_its_own_seeds(make_rows) -> None:
    both = block_of(make_rows, 40, [40, 40, 40], [20, 21, 22], backbones=["a", "b"])
    assert verdict(both) == "above"
    rows = both.rows.copy()
    mine = (rows["backbone"] == "b") & (rows["method"] == "original")
    rows.loc[mine, "forget_accuracy"] = [0.5, 0.55, 0.5]
    assert verdict(table_of(rows).blocks[0]) == "noise"


def test_of_nested_forget_sets_the_largest_counts_and_classes_are_added_up(make_rows) -> None:
    rows = make_rows(kinds=["sample"], methods=["original", "retrain", "scrub"], ratios=[0.01, 0.1], seeds=[0, 1])
    rows["num_forget"] = rows["requested_forget_ratio"] * 1000
    assert [one.utterances for one in within_seeds(table_of(rows).blocks[0])] == [100, 100]
    other = rows.assign(
        forget_classes="other", trial_id=rows["trial_id"] + "-o", parent_retrain=rows["parent_retrain"] + "-o"
    )
    found = within_seeds(table_of(pd.concat([rows, other], ignore_index=True)).blocks[0])
    assert [one.utterances for one in found] == [200, 200]


def test_without_the_number_of_utterances_two_seeds_decide_nothing(make_rows) -> None:
    block = table_of(make_rows(kinds=["sample"], seeds=[0, 1])).blocks[0]
    assert verdict(block) == "unknown"
    assert not is_uninformative(block, FORGET)
    assert "too few to say" in block_notes(block)[0].text
