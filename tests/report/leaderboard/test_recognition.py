"""Canaries and groups on the leaderboard page, in words of WER; no mean over accuracy and WER."""

from __future__ import annotations

import pandas as pd
import pytest
from report.frames.test_recognition import of_recognizers
from report.leaderboard.test_page import evidence_of

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.leaderboard.page import _at_a_glance, _overall, _require_one_quality, leaderboard_cells
from orchestrator.report.leaderboard.recognition import recognition_pieces

EXPOSURE = {"original": 8.0, "retrain": 1.5, "scrub": 3.0}


@pytest.fixture(scope="module")
def rows(make_rows):
    made = make_rows(kinds=["sample"], methods=list(EXPOSURE), seeds=[0, 1, 2])
    return [reported(with_gaps(prepare(one)))[0] for one in (made, of_recognizers(made))]


def test_a_cell_has_exposure_of_canaries_and_of_controls_for_each_line(rows) -> None:
    figures = {"canary_exposure_masked_forgotten": rows[1]["method"].map(EXPOSURE), "wer_of_kept": 0.1}
    figures |= {"canary_exposure_masked_never": 1.5}
    lines = recognition_pieces(leaderboard_cells(evidence_of(rows[1].assign(**figures), tuple(figures))))
    assert lines[0] == "## Recognizers: canaries and groups"
    (drawn,) = [piece for piece in lines if not isinstance(piece, str)]
    (records,) = drawn.datasets.values()
    assert {record["line"]: record["x"] for record in records if record["group"] == "forgotten"}["SCRUB"] == 3.0
    said = "\n".join(piece for piece in lines if isinstance(piece, str))
    assert "| SCRUB" in said
    assert "3.00 ± 0.00" in said
    assert "WER on D_t by speaker, in %" in said


def test_without_canaries_there_is_no_section(rows) -> None:
    assert recognition_pieces(leaderboard_cells(evidence_of(rows[0]))) == []


def test_all_cells_and_the_glance_speak_of_wer(rows) -> None:
    cells = leaderboard_cells(evidence_of(rows[1]))
    said = "\n".join([*_overall(cells, {}), *_at_a_glance(cells)])
    assert "Retrain − Original on D_f, WER, mean over 1 cells" in said
    assert "Original − Retrain on D_f" not in said


def test_tasks_that_are_judged_differently_are_refused(rows) -> None:
    with pytest.raises(ValueError, match=r"espeak_keywords \(by accuracy\) and sentences \(by WER\)"):
        _require_one_quality(pd.concat(rows, ignore_index=True))
    for one in rows:
        _require_one_quality(one)
