"""The paper's layout, and what may be called best."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.caption import caption
from orchestrator.report.tables.cells import body, header
from orchestrator.report.tables.csv import tidy
from orchestrator.report.tables.model import best_lines, build_tables
from orchestrator.report.tables.notes import baselines, block_notes


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


def test_shown_numbers_are_means_over_seeds_in_percent(make_rows) -> None:
    rows = make_rows(kinds=["sample"])
    (table,) = tables(rows)
    row = next(row for row in body(table, table.blocks[0]) if row.cells[0] == "SCRUB")
    mean = 100 * rows[rows["method"] == "scrub"]["test_accuracy"].mean()
    assert row.cells[1].startswith(f"{mean:.1f} ± ")


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


def test_methods_that_cannot_be_told_apart_are_named(make_rows) -> None:
    rows = make_rows(kinds=["sample"], methods=["retrain", "grad_ascent", "scrub", "salun"], noise=0.0)
    scrub, salun = rows["method"] == "scrub", rows["method"] == "salun"
    wobble = np.array([0.01, -0.01, 0.012, -0.012, 0.001])
    for part in ("forget", "retain", "test"):
        rows.loc[scrub, f"{part}_accuracy"] = 0.8
        rows.loc[salun, f"{part}_accuracy"] = 0.799 + wobble
    text = said(tables(rows)[0].blocks[0])
    assert "Closest to Retrain: SCRUB" in text
    assert "Not statistically distinguishable from it at 95 % (paired by seed): SalUn." in text  # and GradAscent is


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


def test_a_measure_with_fewer_values_than_its_line_shows_its_n(make_rows, change) -> None:
    rows = change(make_rows(kinds=["sample"]), {"method": "scrub", "seed": 1}, mia_nonmember=np.nan)
    (table,) = tables(rows)
    row = next(row for row in body(table, table.blocks[0]) if row.cells[0] == "SCRUB")
    assert row.cells[header(table).index("MIA")].endswith("(n=4)")


def test_baselines_are_said(make_rows) -> None:
    assert baselines(tables(make_rows())[0].rows) == (
        "Baselines on D_t: chance 8.3 %, always answering the most frequent class of D 8.3 %."
    )


def test_the_caption_names_unit_rules_and_references_in_three_sentences(make_rows) -> None:
    rows = make_rows(backbones=["a", "b", "c"], kinds=["sample"], methods=["original", "retrain", "scrub"])
    averaged, alone = tables(rows)[:2]
    assert "95 % t-interval over backbones" in caption(averaged)
    assert "95 % t-interval over seeds" in caption(alone)
    text = caption(averaged)
    assert "seeds 0, 1, 2, 3, 4 within each backbone" in text
    assert "(a, b, c)" in text
    assert "time budget: 1 × retrain schedule, counted in samples" in text
    assert "non-members of the MIA: the holdout." in text
    assert "Settings: not tuned" in text
    assert len(re.findall(r"[.](?= |$)", text)) == 3
    page, title = re.findall(r"'([^']+)' in (docs/\w+\.md)", text)[0][::-1]
    assert (Path(__file__).parents[3] / page).read_text().startswith(f"# {title}\n")
    locked = caption(tables(rows.assign(lock="rewind"))[0])
    assert "chosen by rewind on tuning seeds" in locked
    assert "non-members of the MIA: D_t." in caption(tables(rows.assign(mia_reference="test"))[0])


def test_long_times_are_shown_in_hours(make_rows) -> None:
    rows = make_rows(kinds=["sample"])
    assert "Time (h)" in header(tables(rows.assign(optimization_seconds=rows["optimization_seconds"] * 400))[0])
    assert "Time (min)" in header(tables(rows.assign(optimization_seconds=rows["optimization_seconds"] * 20))[0])


def test_seeds_that_were_planned_and_never_run_are_missing(make_rows) -> None:
    (table,) = tables(make_rows(kinds=["sample"], seeds=[0, 1, 2]), planned_seeds={"espeak_keywords": range(5)})
    assert line_of(table.blocks[0], "SCRUB").coverage.seeds_text == "3/5"
    assert best_lines(table.blocks[0].lines) == []


def test_tidy_tables_hold_every_measure_at_full_precision(make_rows) -> None:
    rows = make_rows(kinds=["sample"])
    found = tidy(tables(rows)[0])
    cell = found[(found["label"] == "SCRUB") & (found["measure"] == "forget_accuracy")].iloc[0]
    assert cell["mean"] == pytest.approx(100 * rows[rows["method"] == "scrub"]["forget_accuracy"].mean(), rel=1e-12)
    assert (cell["unit"], cell["n"], cell["over"], cell["spread"]) == ("%", 5, "seeds", "95% t-interval")
    assert not found.duplicated(["unlearning", "label", "measure"]).any()
