"""The paper's layout, and what may be called best."""

from __future__ import annotations

import pandas as pd
import pytest

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.cells import body, header
from orchestrator.report.tables.model import best_lines, build_tables
from orchestrator.report.tables.notes import block_notes


def tables(rows: pd.DataFrame, **kwargs):
    """All tables of the rows."""
    return build_tables(reported(with_gaps(prepare(rows)))[0], **kwargs)


def said(block) -> str:
    """All that is said under a block."""
    return " ".join(note.text for note in block_notes(block))


def line_of(block, label: str):
    return next(line for line in block.lines if line.label == label)


def test_blocks_and_columns_are_those_of_the_paper(make_rows) -> None:
    (table,) = tables(make_rows(kinds=["class", "sample"]))
    assert [block.title.split(" (")[0] for block in table.blocks] == ["Sample Unlearning", "Class Unlearning"]
    assert header(table) == [
        "Method", "D_t", "D_t kept", "D_t forgotten", "D_f", "D_r", "MIA", "Time (s)", "Gap", "Seeds",
    ]  # fmt: skip
    assert [line.method for line in table.blocks[0].lines][:3] == ["original", "retrain", "grad_ascent"]


def test_a_measure_that_says_nothing_of_its_own_is_not_shown(make_rows) -> None:
    (sample,) = tables(make_rows(kinds=["sample"]))
    assert "D_t kept" not in header(sample)  # all classes are kept
    assert "D_f true labels" not in header(sample)  # they are the labels
    (mislabeled,) = tables(make_rows(kinds=["mislabeled"]))
    assert "D_f true labels" in header(mislabeled)
    assert "Unknown" not in header(mislabeled)  # all wrong labels are known
    discovered = make_rows(kinds=["mislabeled"]).assign(known_share=0.3, unknown_accuracy=0.5)
    (table,) = tables(discovered)
    assert "Unknown" in header(table)
    assert "30 % known" in table.blocks[0].title


def test_one_backbone_and_one_ratio_make_one_table(make_rows) -> None:
    assert [table.name for table in tables(make_rows())] == ["espeak_keywords"]


def test_backbones_and_ratios_get_tables_of_their_own(make_rows) -> None:
    found = tables(make_rows(backbones=["a", "b", "c"], ratios=[0.01, 0.1], methods=["retrain", "scrub"]))
    assert [t.name for t in found] == [
        "espeak_keywords",
        "espeak_keywords--a",
        "espeak_keywords--b",
        "espeak_keywords--c",
        "espeak_keywords--sample--by-ratio",
    ]
    assert [block.over for block in found[0].blocks] == ["backbones", "backbones"]
    assert [block.over for block in found[1].blocks] == ["seeds", "seeds"]
    assert [block.title for block in found[-1].blocks] == [
        "Sample Unlearning (1 % of D)", "Sample Unlearning (10 % of D)",
    ]  # fmt: skip


def test_tasks_are_never_mixed(make_rows) -> None:
    rows = pd.concat([make_rows(), make_rows(task="fsdd_speakers", task_kind="speakers")])
    assert [table.task for table in tables(rows)] == ["espeak_keywords", "fsdd_speakers"]


def test_rules_of_drawing_forget_sets_are_blocks_of_their_own(make_rows) -> None:
    rows = make_rows(kinds=["sample"])
    other = rows.assign(trial_id=rows["trial_id"] + "-b", forget_rule="balanced", parent_retrain=None)
    (table,) = tables(pd.concat([rows, other]))
    assert sorted(block.title for block in table.blocks) == [
        "Sample Unlearning (balanced; 5 % of D)", "Sample Unlearning (random; 5 % of D)",
    ]  # fmt: skip


def test_the_smallest_mean_gap_is_bold_and_named(make_rows) -> None:
    (table,) = tables(make_rows(kinds=["sample"]))
    methods = [line for line in table.blocks[0].lines if line.method not in ("original", "retrain")]
    gaps = {line.label: line.summaries["gap_mean"].mean for line in methods}
    closest = min(gaps, key=gaps.__getitem__)
    bold = [row for row in body(table, table.blocks[0]) if row.bold]
    assert [row.cells[0] for row in bold] == [closest]
    assert bold[0].bold == {0, header(table).index("Gap")}
    assert f"Closest to Retrain: {closest}, mean gap {gaps[closest]:.1f} ±" in said(table.blocks[0])


@pytest.mark.parametrize("status", ["diverged", "failed", "blocked", "pruned"])
def test_a_method_with_a_run_that_did_not_finish_is_never_best(make_rows, change, status: str) -> None:
    rows = make_rows(kinds=["sample"])
    (best,) = best_lines(tables(rows)[0].blocks[0].lines)
    (table,) = tables(change(rows, {"method": best.method, "seed": 4}, status=status))
    line = line_of(table.blocks[0], best.label)
    assert not line.best
    assert line.summaries["gap_mean"].n == 4
    row = next(row for row in body(table, table.blocks[0]) if row.cells[0] == best.label)
    assert row.cells[-2:] == ("4/5", f"1 {status}")
    assert f"Not compared: {best.label} (1 {status})" in said(table.blocks[0])


def test_where_every_method_lost_a_run_none_is_best(make_rows, change) -> None:
    rows = make_rows(kinds=["sample"], methods=["original", "retrain", "scrub", "salun"])
    for method in ("scrub", "salun"):
        rows = change(rows, {"method": method, "seed": 0}, status="diverged")
    block = tables(rows)[0].blocks[0]
    assert best_lines(block.lines) == []
    assert "No method is called best. Not compared: SCRUB (1 diverged); SalUn (1 diverged)." in said(block)


def test_a_run_that_is_not_there_lowers_n_and_bars_from_being_best(make_rows) -> None:
    rows = make_rows(kinds=["sample"], methods=["retrain", "scrub", "salun"])
    rows = rows[~((rows["method"] == "scrub") & (rows["seed"] == 0))]
    block = tables(rows)[0].blocks[0]
    assert line_of(block, "SCRUB").coverage.seeds_text == "4/5"
    assert [line.label for line in best_lines(block.lines)] == ["SalUn"]
    assert "SCRUB (4/5 seeds done)" in said(block)


def test_values_of_runs_that_did_not_finish_are_in_no_mean(make_rows, change) -> None:
    rows = make_rows(kinds=["sample"], methods=["retrain", "scrub"])
    broken = change(rows, {"method": "scrub", "seed": 0}, status="diverged", forget_accuracy=0.0)
    mean = line_of(tables(broken)[0].blocks[0], "SCRUB").summaries["forget_accuracy"].mean
    assert mean == pytest.approx(rows[(rows["method"] == "scrub") & (rows["seed"] > 0)]["forget_accuracy"].mean())


def test_collapsed_runs_are_counted_and_kept(make_rows, change) -> None:
    rows = change(make_rows(kinds=["sample"]), {"method": "grad_ascent"}, collapsed=True)
    (table,) = tables(rows)
    line = line_of(table.blocks[0], "GradAscent")
    assert (line.flags_text, line.summaries["gap_mean"].n) == ("5 collapsed", 5)


def test_seeds_that_were_planned_and_never_run_are_missing(make_rows) -> None:
    (table,) = tables(make_rows(kinds=["sample"], seeds=[0, 1, 2]), planned_seeds={"espeak_keywords": range(5)})
    assert line_of(table.blocks[0], "SCRUB").coverage.seeds_text == "3/5"
    assert best_lines(table.blocks[0].lines) == []
