"""Gaps that differ by rounding alone are equal, wherever they are ranked, counted or marked."""

from __future__ import annotations

import pandas as pd
import pytest

from orchestrator.report.evidence.folder import FolderEvidence
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.scope import Selected
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.frames.summary import summarize
from orchestrator.report.leaderboard.page import _at_a_glance, leaderboard_cells
from orchestrator.report.leaderboard.ranking import closest_to, ranking
from orchestrator.report.tables.cells import body
from orchestrator.report.tables.model import build_tables, contenders
from orchestrator.report.tables.notes import block_notes, gap_difference

HAIR = 1e-15  # what the order of a sum changes
SCORES = ["forget_accuracy", "retain_accuracy", "test_accuracy"]


def cells_of(rows: pd.DataFrame) -> list:
    found = reported(with_gaps(prepare(rows.assign(num_classes=12, num_forget=40))))[0]
    return leaderboard_cells(FolderEvidence(found, (), lambda _: None, lambda _: None, Selected(found, (), 0)))


def copied(rows: pd.DataFrame, method: str, source: str) -> pd.DataFrame:
    """The rows with a method's scores equal to another's but for a hair."""
    found = rows.copy()
    values = rows[rows["method"] == source].set_index("seed")[SCORES]
    mine = rows["method"] == method
    for place, name in enumerate(SCORES):
        found.loc[mine, name] = rows.loc[mine, "seed"].map(values[name]) - HAIR * (place - 1)
    return found


@pytest.fixture
def rows(make_rows) -> pd.DataFrame:
    return make_rows(
        kinds=["sample"], methods=["original", "retrain", "bad_teacher", "scrub", "salun"], seeds=[0, 1, 2]
    )


def test_methods_with_the_smallest_gap_are_all_bold_named_and_counted(rows) -> None:
    (cell,) = cells_of(copied(rows, "salun", "scrub"))
    bold = [row.cells[0] for row in body(cell.table, cell.block) if row.bold]
    assert bold == ["SCRUB", "SalUn"]
    assert any(note.text.startswith("Closest to Retrain: SCRUB, SalUn, mean gap") for note in block_notes(cell.block))
    found = {one.line.method: one for one in ranking([cell])}
    assert [(found[m].rank.mean, found[m].closest) for m in ("scrub", "salun")] == [(1.5, 1), (1.5, 1)]
    scrub, salun = (line for line in contenders(cell.block.lines) if line.best)
    apart = gap_difference(cell.block, scrub, salun)
    assert (apart.mean, apart.low, apart.high) == (0, 0, 0)


def test_where_the_smallest_gap_is_that_of_original_no_method_is_marked_or_counted(rows) -> None:
    tied = copied(copied(rows, "salun", "original"), "bad_teacher", "original")
    far = tied["method"] == "scrub"
    tied.loc[far, SCORES] = 0.1
    (cell,) = cells_of(tied)
    assert not any(line.best for line in cell.block.lines)
    found = {one.line.method: one for one in ranking([cell])}
    for method in ("salun", "bad_teacher"):
        assert (found[method].closest, found[method].closer_than_original) == (0, 0)
    assert "No method is closest to Retrain: Bad-T, SalUn and Original have the same gap." in " ".join(
        note.text for note in block_notes(cell.block)
    )
    assert "none: 2 with the gap of Original" in "\n".join(_at_a_glance([cell]))


def test_a_gap_below_that_of_original_counts_from_a_billionth_of_a_point(rows) -> None:
    closer = copied(rows, "salun", "original")
    mine = closer["method"] == "salun"
    closer.loc[mine, "forget_accuracy"] -= 1e-9  # 1e-7 points, a third of it in the mean gap
    (cell,) = cells_of(closer)
    found = {one.line.method: one for one in ranking([cell])}
    assert found["salun"].closer_than_original == 1


def test_the_sign_of_rounding_makes_no_difference_on_the_forget_set(rows) -> None:
    same = copied(rows, "original", "retrain")
    (table,) = build_tables(reported(with_gaps(prepare(same)))[0])
    (original,) = (line for line in table.blocks[0].lines if line.method == "original")
    assert (original.gap, original.summaries["difference_forget"].low) == (0, 0)


def test_the_closest_to_a_target_are_equal_means_of_the_most_values() -> None:
    found = {"a": summarize([1.0, 3.0]), "b": summarize([0.0, 0.0]), "c": summarize([1.0]), "d": summarize([])}
    assert closest_to(found, 1.0) == {"a", "b"}
    assert closest_to(found, 1.1) == {"a"}
    assert closest_to(found, None) == closest_to({"d": found["d"]}, 1.0) == set()
