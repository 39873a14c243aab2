"""Ours next to the paper's numbers."""

from __future__ import annotations

import pytest

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.model import build_tables
from orchestrator.report.tables.published import TITLES, paper_tables, published


def tables(rows):
    return build_tables(reported(with_gaps(prepare(rows)))[0])


def test_the_paper_has_two_tables_of_eleven_lines_each() -> None:
    rows = published()
    assert len(rows) == 22
    assert {row["source"] for row in rows} == {"arXiv:2506.00848 Table 1", "arXiv:2506.00848 Table 2"}
    assert all(0 <= float(row[name]) <= 100 for row in rows for name in ("test_accuracy", "forget_accuracy", "mia"))


def test_a_matching_cell_has_ours_the_papers_and_the_difference(make_rows) -> None:
    (found,) = paper_tables(tables(make_rows(task="speech_commands", superloss=["scrub"])))
    scrub = next(row for row in found.rows if row[:2] == ("sample", "SCRUB"))
    ours, paper, difference = (scrub[TITLES.index(f"D_t: {part}")] for part in ("ours", "paper", "difference"))
    assert paper == "8.5"
    assert float(difference) == pytest.approx(float(ours.split()[0]) - 8.5, abs=0.11)
    assert {row[1] for row in found.rows} == {"Original", "GradAscent", "RandLabel", "Bad-T", "SCRUB", "SalUn"}
    assert "arXiv:2506.00848 Table 1" in found.about


def test_other_corpora_have_no_published_numbers(make_rows) -> None:
    assert paper_tables(tables(make_rows())) == []
