"""Wrong labels of which a share is known, by share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from report.leaderboard.test_page import evidence_of

from orchestrator.report.charts.chart import Chart
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.leaderboard.discovery import UNKNOWN, by_share, discovery_pieces
from orchestrator.report.leaderboard.page import leaderboard_cells

METHODS = ["original", "retrain", "scrub", "bad_teacher"]


@pytest.fixture(scope="module")
def rows(make_rows):
    """All wrong labels known, and three in ten of them."""
    made = make_rows(methods=METHODS, kinds=["mislabeled"], seeds=[0, 1, 2]).assign(num_classes=12, num_forget=40.0)
    some = made.assign(known_share=0.3, num_forget=12.0)
    for name in ("trial_id", "parent_retrain"):
        some[name] += "-some"
    return pd.concat([made, some], ignore_index=True)


def cells_of(rows):
    found = reported(with_gaps(prepare(rows)))[0]
    unknown = np.where(found["known_share"] < 1, 0.25, np.nan)
    return leaderboard_cells(evidence_of(found.assign(**{UNKNOWN: unknown})))


def test_each_line_has_its_gap_and_both_accuracies_at_each_share(rows) -> None:
    ((name, found),) = by_share(cells_of(rows)).items()
    assert name == "espeak_keywords, whisper_nano"
    assert {(one.label, one.share) for one in found} == {
        (label, share) for label in ("Original", "Retrain", "SCRUB", "Bad-T") for share in (1.0, 0.3)
    }
    scrub = {one.share: one for one in found if one.label == "SCRUB"}
    known = rows[(rows["method"] == "scrub") & (rows["known_share"] == 0.3)]["forget_true_label_accuracy"]
    assert scrub[0.3].known.mean == pytest.approx(known.mean())
    assert (scrub[0.3].unknown.mean, scrub[0.3].gap.n) == (0.25, 3)
    assert scrub[1.0].unknown.n == 0


def test_the_table_has_three_columns_a_share_and_marks_the_closest(rows) -> None:
    pieces = discovery_pieces(cells_of(rows))
    assert pieces[0].startswith("## Known wrong labels")
    assert pieces[2] == "100 %: |D_f| = 40; 30 %: |D_f| = 12.".replace("|", "\\|")
    table = [[cell.strip() for cell in line.split(" | ")] for line in pieces[4].splitlines()]
    assert [cell.strip("| ") for cell in table[0]] == [
        "Method",
        "100 %: gap",
        "known",
        "30 %: gap",
        "known",
        "not known",
    ]
    rows_of = {row[0].strip("| "): row for row in table[2:]}
    assert list(rows_of) == ["Original", "Retrain", "SCRUB", "Bad-T"]
    assert rows_of["SCRUB"][1].startswith("**")
    assert rows_of["SCRUB"][3].startswith("**")
    assert not rows_of["Bad-T"][1].startswith("**")
    (drawn,) = (piece for piece in pieces if isinstance(piece, Chart))
    (records,) = drawn.datasets.values()
    assert sorted((record["line"], record["x"]) for record in records) == [
        ("Bad-T", 30.0), ("Bad-T", 100.0), ("SCRUB", 30.0), ("SCRUB", 100.0),
    ]  # fmt: skip


def test_one_share_needs_no_section(rows) -> None:
    assert discovery_pieces(cells_of(rows[rows["known_share"].isna()])) == []
