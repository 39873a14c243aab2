"""Verification and membership of speakers on the page: the target is Retrain's EER of speakers never trained on."""

from __future__ import annotations

import pytest
from report.leaderboard.test_page import evidence_of

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.leaderboard.page import leaderboard_cells
from orchestrator.report.leaderboard.speakers import speakers_markdown

METHODS = ["original", "retrain", "scrub", "bad_teacher"]
FORGOTTEN = {"original": 0.05, "retrain": 0.27, "scrub": 0.24, "bad_teacher": 0.45}


@pytest.fixture(scope="module")
def found(make_rows):
    rows = make_rows(methods=METHODS, kinds=["speaker"], seeds=[0, 1, 2]).assign(num_classes=12)
    return reported(with_gaps(prepare(rows)))[0]


def test_a_cell_has_each_group_the_target_and_the_closest_marked(found) -> None:
    figures = {"eer_kept": 0.1, "eer_forgotten": found["method"].map(FORGOTTEN), "eer_unheard": 0.25}
    figures |= {"min_dcf_0.05_forgotten": 0.9, "speaker_auc": found["method"].map({**FORGOTTEN, "original": 1.0})}
    figures |= {"speaker_low": 0.4, "speaker_high": 0.6}
    lines = speakers_markdown(leaderboard_cells(evidence_of(found.assign(**figures), tuple(figures))))
    assert lines[0] == "## Speakers: verification and membership"
    assert "n = 3 seeds. Target, EER of never-trained-on speakers under Retrain: 25.0 ± 0.0 %." in lines[2]
    rows = {row[0]: row[1:] for line in lines[4].splitlines() if (row := [c.strip() for c in line.split("|")[1:-1]])}
    assert rows["Method"] == [
        "EER, kept (%)", "EER, forgotten (%)", "EER, never trained on (%)", "minDCF, forgotten",
        "forgotten speakers, AUC",
    ]  # fmt: skip
    assert rows["SCRUB"][1] == "**24.0 ± 0.0**"
    assert rows["Bad-T"][1] == "45.0 ± 0.0"
    assert rows["Original"][0] == "*10.0 ± 0.0*"  # Original and Retrain are equal there


def test_without_stored_speakers_there_is_no_section(found) -> None:
    assert speakers_markdown(leaderboard_cells(evidence_of(found))) == []
