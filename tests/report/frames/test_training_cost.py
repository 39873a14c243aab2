"""Blocks of their own for kinds of training, with what each costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from orchestrator.report.build import build_report
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.scope import select
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.csv import tidy
from orchestrator.report.tables.model import build_tables
from orchestrator.report.tables.notes import block_notes
from orchestrator.report.tables.terminal import terminal_tables
from orchestrator.report.write import write_files


def both(make_rows, shift: float = -0.02, **sizes) -> pd.DataFrame:
    """Standard rows, and the same under another training whose models score `shift` more on D_t and 0.1 less on D_f."""
    rows = make_rows(**sizes)
    other = rows.assign(
        training="frozen", trial_id=rows["trial_id"] + "-f", test_accuracy=rows["test_accuracy"] + shift,
        forget_accuracy=rows["forget_accuracy"] - 0.1, parent_retrain=rows["parent_retrain"] + "-f",
    )  # fmt: skip
    trained = []
    for title, seconds, kept, mark in (("standard", 20.0, 0.0, ""), ("frozen", 2.0, 0.25, "-f")):
        for seed in rows["seed"].unique():
            trained.append(
                {
                    "trial_id": f"trained-{seed}{mark}", "stage": "train", "method": "original", "status": "done",
                    "seed": seed, "training": title, "optimization_seconds": seconds, "preparation_seconds": kept,
                    "task": rows["task"].iloc[0], "backbone": rows["backbone"].iloc[0], "unlearning": "none",
                }
            )  # fmt: skip
    rows["parent_original"] = [f"trained-{seed}" for seed in rows["seed"]]
    other["parent_original"] = [f"trained-{seed}-f" for seed in other["seed"]]
    return pd.concat([rows, other, pd.DataFrame(trained)]).reindex(columns=rows.columns)


def blocks(rows: pd.DataFrame):
    (table,) = build_tables(reported(with_gaps(prepare(rows)))[0])
    return table, {(block.training, block.kind): block for block in table.blocks}


def test_each_training_has_blocks_of_its_own_after_the_standard_ones(make_rows) -> None:
    table, found = blocks(both(make_rows))
    assert list(found) == [("standard", "sample"), ("standard", "class"), ("frozen", "sample"), ("frozen", "class")]
    assert found["frozen", "sample"].title == "Sample Unlearning (training frozen; 5 % of D)"
    assert len({block.title for block in table.blocks}) == 4
    assert set(tidy(table)["training"]) == {"standard", "frozen"}


def test_gaps_are_to_the_retrain_of_the_same_training(make_rows) -> None:
    """Both trainings have the same distances to their own Retrain, though their accuracies lie 10 points apart."""
    _, found = blocks(both(make_rows, kinds=["sample"]))
    gaps = [
        {line.method: line.summaries["gap_mean"].mean for line in found[title, "sample"].lines}
        for title in ("standard", "frozen")
    ]
    assert gaps[0].keys() == gaps[1].keys()
    assert np.allclose(list(gaps[0].values()), list(gaps[1].values()), equal_nan=True)


def test_a_block_says_what_its_training_costs_against_the_standard_one(make_rows) -> None:
    _, found = blocks(both(make_rows, kinds=["sample"]))
    said = block_notes(found["frozen", "sample"])[0].text
    assert "minus the standard Original's -2.0 ± 0.0 points (n = 5 seeds)" in said
    assert (
        "training it took 2.0 ± 0.0 s (standard: 20.0 ± 0.0 s), and preparing what it keeps 0.25 ± 0.00 s more." in said
    )
    assert not any(note.kind == "training" for note in block_notes(found["standard", "sample"]))


def test_without_standard_rows_a_block_still_says_its_seconds(make_rows) -> None:
    rows = both(make_rows, kinds=["sample"])
    _, found = blocks(rows[rows["training"] == "frozen"])
    said = block_notes(found["frozen", "sample"])[0].text
    assert "training it took 2.0 ± 0.0 s, and" in said
    assert "minus" not in said


def test_rows_from_before_there_were_trainings_are_standard(make_rows) -> None:
    _, found = blocks(make_rows(kinds=["sample"]).assign(training=None))
    assert list(found) == [("standard", "sample")]


@pytest.mark.parametrize("ratios", [(0.05,), (0.01, 0.05)])
def test_the_whole_report_is_written_with_two_trainings(make_rows, tmp_path, ratios) -> None:
    rows = both(make_rows, kinds=["sample"], ratios=ratios, seeds=[0, 1], methods=["original", "retrain", "scrub"])
    text = write_files(build_report(select(rows)), tmp_path)[0].read_text()
    assert "training frozen" in text
    assert terminal_tables(build_report(select(rows)).tables)
