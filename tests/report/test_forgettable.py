"""Original minus Retrain stands first, and columns in which it is noise are grey."""

from __future__ import annotations

import re

import pytest

from orchestrator.report.averages import summarise
from orchestrator.report.captions import caption
from orchestrator.report.compare import with_gaps
from orchestrator.report.forgettable import headline, is_grey, original_minus_retrain, within_noise
from orchestrator.report.latex import table_latex
from orchestrator.report.layout import body, header
from orchestrator.report.lines import prepare, reported
from orchestrator.report.markdown import table_markdown
from orchestrator.report.measures import FORGET, MIA, TEST
from orchestrator.report.remarks import remarks
from orchestrator.report.tables import build_tables


def table_of(rows):
    return build_tables(reported(with_gaps(prepare(rows)))[0])[0]


@pytest.fixture
def memorised(make_rows):
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
    assert within_noise(summarise(values)) is noise


def test_the_difference_on_the_forget_set_stands_before_every_number(memorised) -> None:
    block = memorised.blocks[0]
    found = original_minus_retrain(block)
    assert found.mean == pytest.approx(9, abs=1)
    said = f"Original − Retrain on D_f: {found.mean:.1f} ±"
    assert said in headline(block)
    assert remarks(block)[0].startswith(said)
    text = table_markdown(memorised)
    assert text.index(said) < text.index("| Original")


def test_columns_in_which_original_and_retrain_differ_are_not_grey(memorised) -> None:
    assert not any(row.grey for row in body(memorised, memorised.blocks[0]))
    assert "Grey" not in caption(memorised)
    assert "textcolor" not in table_latex(memorised)


def test_where_there_is_nothing_to_forget_the_column_is_grey_and_no_other(nothing_to_forget) -> None:
    block = nothing_to_forget.blocks[0]
    assert is_grey(block, FORGET)
    assert not is_grey(block, MIA)
    assert not is_grey(block, TEST)  # it says nothing of forgetting
    place = header(nothing_to_forget).index("D_f")
    assert {row.grey for row in body(nothing_to_forget, block)} == {frozenset({place})}
    assert "Grey (or italic)" in caption(nothing_to_forget)


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
    assert not is_grey(table.blocks[0], FORGET)
