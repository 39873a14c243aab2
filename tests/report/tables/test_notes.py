"""Notes under a block: anything to forget, the best method, several settings, missing Retrains, baselines."""

from __future__ import annotations

import numpy as np
import pandas as pd

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.model import best_lines, build_tables
from orchestrator.report.tables.notes import baselines, block_notes


def tables(rows: pd.DataFrame, **kwargs):
    """All tables of the rows."""
    return build_tables(reported(with_gaps(prepare(rows)))[0], **kwargs)


def said(block) -> str:
    """All that is said under a block."""
    return " ".join(note.text for note in block_notes(block))


def test_methods_that_cannot_be_told_apart_are_named(make_rows) -> None:
    rows = make_rows(kinds=["sample"], methods=["retrain", "grad_ascent", "scrub", "salun"], noise=0.0)
    scrub, salun = rows["method"] == "scrub", rows["method"] == "salun"
    wobble = np.array([0.01, -0.01, 0.012, -0.012, 0.001])
    for part in ("forget", "retain", "test"):
        rows.loc[scrub, f"{part}_accuracy"] = 0.8
        rows.loc[salun, f"{part}_accuracy"] = 0.799 + wobble
    text = said(tables(rows)[0].blocks[0])
    assert "Closest to Retrain: SCRUB" in text
    assert "Not statistically distinguishable from it at 95 % (paired by seed, paired t, Holm over 2 methods)" in text
    assert "SalUn (+" in text
    assert "GradAscent (+" not in text  # which is far away


def test_with_two_seeds_nothing_is_tested(make_rows) -> None:
    text = said(tables(make_rows(kinds=["sample"], seeds=[0, 1]))[0].blocks[0])
    assert "With fewer than 3 seeds no difference between methods is tested." in text
    assert "too few to say whether there is anything to forget" in text


def test_whether_there_is_anything_to_forget_is_said(make_rows, change) -> None:
    rows = make_rows(kinds=["sample"])
    assert "there is something to forget" in said(tables(rows)[0].blocks[0])
    values = rows[rows["method"] == "retrain"]["forget_accuracy"].to_numpy()
    same = rows.copy()
    same.loc[same["method"] == "original", "forget_accuracy"] = values + np.array([0.01, -0.01, 0.005, -0.005, 0])
    assert "cannot tell forgetting from doing nothing" in said(tables(same)[0].blocks[0])
    below = same.assign(forget_accuracy=same["forget_accuracy"].where(same["method"] != "original", 0.1))
    assert "Retrain classifies D_f better" in said(tables(below)[0].blocks[0])


def test_several_settings_of_a_method_carry_a_warning(make_rows) -> None:
    rows = make_rows(kinds=["sample"])
    more = rows[rows["method"] == "scrub"].assign(
        trial_id=lambda r: r["trial_id"] + "-b", settings='{"learning_rate": 1.0}'
    )
    assert "picked on the runs that it is reported on" in said(tables(pd.concat([rows, more]))[0].blocks[0])
    assert "picked on the runs" not in said(tables(rows)[0].blocks[0])


def test_runs_without_retrain_are_counted(make_rows) -> None:
    rows = make_rows(kinds=["sample"], methods=["original", "scrub"])
    block = tables(rows)[0].blocks[0]
    assert "10 of 10 runs have no finished Retrain" in said(block)
    assert best_lines(block.lines) == []


def test_baselines_are_said(make_rows) -> None:
    assert baselines(tables(make_rows())[0].rows) == (
        "Baselines on D_t: chance 8.3 %, always answering the most frequent class of D 8.3 %."
    )
