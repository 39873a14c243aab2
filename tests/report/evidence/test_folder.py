"""An attack on fewer than ten pairs gives no AUC: every page says that there are too few."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from orchestrator.evidence.roc import FEWEST_PAIRS
from orchestrator.report.evidence.folder import FolderEvidence, without_few_pairs
from orchestrator.report.evidence.table import evidence_markdown
from orchestrator.report.evidence.trial import with_evidence
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.scope import Selected
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.leaderboard.attack_sanity import attack_sanity, sanity_markdown
from orchestrator.report.leaderboard.page import _cell, leaderboard_cells
from orchestrator.report.tables.model import build_tables

METHODS = ["original", "retrain", "scrub"]


@pytest.fixture(scope="module")
def attacked(make_rows, outputs_of):
    """`attacked(members)`: rows with evidence of one seed on so many utterances of D_f, and what reads the outputs."""
    rows = make_rows(methods=METHODS, kinds=["sample"], seeds=[0]).assign(num_classes=4, num_forget=40)

    def build(members: int):
        sizes = {"forget": members, "validation": 20, "test": 20, "holdout": 40}
        parts, read = np.repeat(list(sizes), list(sizes.values())), {}
        for trial_id in rows["trial_id"]:
            rng = np.random.default_rng(len(trial_id))
            labels = np.zeros(len(parts), dtype=int)
            names = np.array([f"{part}-{n}" for n, part in enumerate(parts)])
            read[trial_id] = replace(
                outputs_of(rng.normal(size=(len(parts), 4)), labels), parts=parts, utterance_ids=names
            )
        lines = reported(with_gaps(prepare(rows)))[0]
        found = with_evidence(lines, read.get)
        figures = tuple(name for name in found if name not in lines)
        return FolderEvidence(without_few_pairs(found), figures, read.get, lambda _: None, Selected(found, (), 0))

    return build


def row_of(page: str, label: str) -> str:
    return next(line for line in page.splitlines() if line.replace("*", "").startswith(f"| {label}"))


def test_nine_pairs_are_too_few_and_ten_are_not(attacked) -> None:
    few, enough = attacked(FEWEST_PAIRS - 1).rows, attacked(FEWEST_PAIRS).rows
    for name in ("loss_auc", "loss_low", "entropy_auc", "modified_entropy_auc", "loss_tpr_at_0.1_percent", "mia_auc"):
        assert few[name].isna().all()
    assert enough[["loss_auc", "loss_low", "mia_auc"]].notna().all(axis=None)
    assert few["attack_pairs"].tolist() == [9, 9, 9]
    assert few["forget_loss"].equals(enough["forget_loss"])  # no attack, though its name has "loss"


def test_the_page_of_evidence_says_too_few_instead_of_an_auc(attacked) -> None:
    few, enough = (evidence_markdown(build_tables(attacked(n).rows)[0], {}) for n in (9, 10))
    assert "loss" in few  # the column stays
    assert row_of(few, "SCRUB").count("too few") >= 4
    assert "too few" not in enough
    assert "too few" not in few.split("Distance to Retrain")[1]


def test_cells_of_the_leaderboard_say_too_few(attacked) -> None:
    pages = []
    for members in (9, 10):
        found = attacked(members)
        (cell,) = leaderboard_cells(found)
        pages.append(row_of("\n".join(_cell(cell, found.figures)), "SCRUB"))
    assert ["too few" in page for page in pages] == [True, False]


def test_pooled_attacks_on_few_utterances_give_no_verdict(attacked) -> None:
    pages = []
    for members in (9, 10):
        found = attacked(members)
        pages.append("\n".join(sanity_markdown(attack_sanity(leaderboard_cells(found), found.read_outputs))))
    few, enough = pages
    assert len(re.findall(r"\| +too few \|", few)) == 3
    assert "in 0 of 0 cells" in few
    assert "too few |" not in enough
    assert "of 1 cells" in enough


def test_pairs_that_were_never_counted_take_nothing_away() -> None:
    rows = pd.DataFrame({"attack_pairs": [np.nan, 3.0], "mia_auc": [0.7, 0.7], "relearned_10": [0.1, 0.1]})
    found = without_few_pairs(rows)
    assert found["mia_auc"].isna().tolist() == [False, True]
    assert found["relearned_10"].tolist() == [0.1, 0.1]
