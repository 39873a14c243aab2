"""Standings over cells, tables of cells, and the sanity of attacks, on rows and outputs with a known answer."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest

from orchestrator.report.evidence.folder import FolderEvidence, with_kept
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.scope import Selected
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.leaderboard.page import _cell, _without_an_epoch, leaderboard_cells, write_leaderboard
from orchestrator.report.leaderboard.ranking import over_cells, ranking
from orchestrator.results.store import open_store
from orchestrator.results.sweep_records import SweepRecord

METHODS = ["original", "retrain", "grad_ascent", "bad_teacher", "scrub"]


def cells_of(rows: pd.DataFrame, records: tuple[SweepRecord, ...] = ()) -> list:
    found = reported(with_gaps(prepare(rows)))[0]
    return leaderboard_cells(evidence_of(found, records=records))


def evidence_of(found: pd.DataFrame, figures: tuple[str, ...] = (), records: tuple[SweepRecord, ...] = ()):
    return FolderEvidence(found, figures, lambda _: None, lambda _: None, Selected(found, records, 0))


@pytest.fixture(scope="module")
def two_tasks(make_rows):
    """Four cells: two tasks, samples and classes, three seeds."""
    tasks = [make_rows(task=task, methods=METHODS, seeds=[0, 1, 2]) for task in ("keywords", "speakers")]
    return pd.concat(tasks, ignore_index=True).assign(num_classes=12)


@pytest.fixture(scope="module")
def cells(two_tasks):
    return cells_of(two_tasks)


def by_method(cells) -> dict:
    return {ranked.line.method: ranked for ranked in ranking(cells)}


def test_the_method_nearest_in_every_cell_ranks_first_and_references_stand_on_top(cells) -> None:
    found = ranking(cells)
    assert len(cells) == 4
    assert [ranked.line.method for ranked in found] == [
        "original",
        "retrain",
        "scrub",
        "bad_teacher",
        "grad_ascent",
    ]
    scrub = by_method(cells)["scrub"]
    assert (scrub.rank.mean, scrub.closest, scrub.compared) == (1.0, 4, 4)
    assert not by_method(cells)["original"].rank.n


def test_the_overall_gap_is_the_mean_over_cells_of_each_seed_with_an_interval_over_seeds(two_tasks, cells) -> None:
    rows = reported(with_gaps(prepare(two_tasks)))[0]
    of_seeds = rows[rows["method"] == "bad_teacher"].groupby("seed")["gap_mean"].mean()
    found = by_method(cells)["bad_teacher"].gap
    assert (found.mean, found.n) == (pytest.approx(of_seeds.mean()), 3)
    assert found.high - found.mean == pytest.approx(4.302653 * of_seeds.std(ddof=1) / np.sqrt(3))


def test_a_diverged_run_puts_its_line_last_in_that_cell_and_is_counted(two_tasks, change) -> None:
    lost = {"method": "scrub", "task": "keywords", "unlearning": "sample", "seed": 1}
    cells = cells_of(change(two_tasks, lost, status="diverged"))
    scrub = by_method(cells)["scrub"]
    assert (scrub.compared, scrub.closest, scrub.flags["diverged"]) == (3, 3, 1)
    assert scrub.rank.mean == pytest.approx((3 + 1 + 1 + 1) / 4)
    assert scrub.gap.n == 2  # the seed is left out of every cell's mean


def test_a_line_that_is_missing_in_a_cell_ranks_last_there_and_has_no_overall_gap(two_tasks) -> None:
    rows = two_tasks[(two_tasks["method"] != "scrub") | (two_tasks["task"] != "speakers")]
    scrub = by_method(cells_of(rows))["scrub"]
    assert (scrub.compared, scrub.gap.n) == (2, 0)
    assert scrub.rank.mean == pytest.approx((1 + 1 + 3 + 3) / 4)


def test_equal_gaps_share_their_ranks(two_tasks) -> None:
    twins = two_tasks[two_tasks["method"] == "scrub"].assign(method="salun", method_label="SalUn")
    twins["trial_id"] = twins["trial_id"] + "-twin"
    found = by_method(cells_of(pd.concat([two_tasks, twins], ignore_index=True)))
    assert (found["scrub"].rank.mean, found["salun"].rank.mean) == (1.5, 1.5)


def test_cells_with_nothing_to_forget_are_left_out_of_the_second_rank(two_tasks, change) -> None:
    rows = two_tasks.copy()
    cell = (rows["task"] == "keywords") & (rows["unlearning"] == "sample")
    target = rows[cell & (rows["method"] == "retrain")].set_index("seed")["forget_accuracy"]
    mine = cell & (rows["method"] == "original")
    rows.loc[mine, "forget_accuracy"] = rows.loc[mine, "seed"].map(target)
    rows.loc[cell & (rows["method"] == "scrub"), "retain_accuracy"] = 0.1
    cells = cells_of(rows)
    assert [cell.forgettable for cell in cells].count(False) == 1
    scrub = by_method(cells)["scrub"]
    assert (scrub.rank.mean, scrub.rank_forgettable.mean, scrub.rank_forgettable.n) == (1.5, 1.0, 3)


def test_time_is_a_share_of_the_retrain_of_the_same_forget_set(cells) -> None:
    found = by_method(cells)
    assert found["retrain"].share.mean == 1.0
    assert found["scrub"].share.mean == pytest.approx((9 / 60 + 9 / 58) / 2)


def test_the_task_loss_is_of_kept_classes_against_the_original_of_the_same_forget_set(two_tasks, cells) -> None:
    lost = []
    for kind, column in (("sample", "test_accuracy"), ("class", "test_accuracy_kept_classes")):
        own = two_tasks[two_tasks["unlearning"] == kind].groupby("method")[column].mean()
        lost.append(100 * (own["original"] - own["scrub"]))
    found = by_method(cells)
    assert found["scrub"].task_loss.mean == pytest.approx(np.mean(lost))
    assert found["original"].task_loss.mean == 0


def test_recovery_is_a_mean_over_cells_with_something_to_forget_in_which_every_run_forgot(make_rows, change) -> None:
    """Four tasks: one with nothing to forget, and one in which a seed's D_f fell by 5 points only."""
    tasks = ["all", "nothing", "little", "less"]
    rows = pd.concat([make_rows(task=t, methods=METHODS, kinds=["sample"], seeds=[0, 1, 2]) for t in tasks])
    rows = rows.assign(num_classes=12, forget_accuracy=np.where(rows["method"] == "original", 0.9, 0.5))
    rows = change(rows.reset_index(drop=True), {"task": "nothing", "method": "retrain"}, forget_accuracy=0.9)
    rows = change(rows, {"task": "little", "method": "scrub", "seed": 2}, forget_accuracy=0.85)
    found = reported(with_gaps(prepare(rows)))[0]
    of_task = found["task"].map({"all": 0.1, "nothing": 7.0, "little": 9.0, "less": 0.4})
    figures = ("relearned_10", "excess_10")
    found = found.assign(relearned_10=0.0, excess_10=of_task + 0.1 * found["seed"])
    cells = leaderboard_cells(evidence_of(found, figures))
    scrub = by_method(cells)["scrub"].excess
    assert (scrub.mean, scrub.n) == (pytest.approx((0.2 + 0.5) / 2), 2)
    assert by_method(cells)["bad_teacher"].excess.n == 3


def test_a_line_of_one_kind_of_training_is_averaged_over_the_cells_of_that_kind(two_tasks) -> None:
    aware = two_tasks.assign(training="aware", trial_id=two_tasks["trial_id"] + "-a")
    aware["method"] = aware["method"].replace("scrub", "rewind")
    aware["method_label"] = aware["method_label"].replace("SCRUB", "Rewind")
    found = by_method(cells_of(pd.concat([two_tasks, aware], ignore_index=True)))
    for method, cells in (("rewind", 4), ("scrub", 4), ("bad_teacher", 8)):
        one = found[method]
        assert (one.cells, one.compared, one.gap.n, one.task_loss.n) == (cells, cells, 3, 3)


def test_planned_seeds_without_a_row_leave_no_line_complete(two_tasks) -> None:
    trials = tuple(two_tasks.loc[two_tasks["task"] == "keywords", "trial_id"])
    cells = cells_of(two_tasks, (SweepRecord("made-up", "1", {"seeds": [0, 1, 2, 3]}, trials, "1"),))
    assert by_method(cells)["scrub"].compared == 2


def test_seeds_are_averaged_within_a_cell_before_cells_are(cells) -> None:
    line = by_method(cells)["scrub"].line.variant
    whole, one = over_cells(cells, line, "gap_mean"), over_cells(cells[:1], line, "gap_mean")
    assert whole.n == one.n == 3
    assert one.mean == pytest.approx(cells[0].gap(line))


def test_every_table_has_original_and_retrain_and_says_their_difference_first(
    two_tasks, make_search_rows, tmp_path
) -> None:
    store = open_store(tmp_path / "r")
    for row in pd.concat([two_tasks, make_search_rows()]).replace({np.nan: None}).to_dict("records"):
        store.commit(row)
    text = write_leaderboard(store, tmp_path / "docs" / "leaderboard.md").read_text()
    tables = re.split(r"^## ", text, flags=re.M)
    assert [table.splitlines()[0] for table in tables[1:3]] == ["All cells", "Cells at a glance"]
    cells = [table for table in tables if table.startswith(("keywords,", "speakers,"))]
    assert len(cells) == 4
    for table in (tables[1], *cells):
        first = table.index("Original − Retrain on D_f")
        assert first < table.index("| Original") < table.index("| Retrain") < table.index("SCRUB")
    assert "Second" in tables[2]
    assert (
        "Searches: 2 of 8 trials each, rule gap_to_retrain, tuning seed 1000, never reported; 14 done, 2 diverged."
        in text
    )
    assert all(
        re.search(r"- Bad-T − SCRUB: .* paired \(n = 3 seeds\): (not )?statistically distinguishable", cell)
        for cell in cells
    )


def test_cells_show_membership_and_verification_of_speakers_if_trials_have_them(make_rows) -> None:
    rows = make_rows(methods=METHODS, seeds=[0, 1, 2], kinds=["speaker"]).assign(num_classes=12)
    found = reported(with_gaps(prepare(rows)))[0]
    places = found["method"].map(METHODS.index)
    with_speakers = found.assign(
        speaker_auc=0.5 + places / 100, speaker_low=0.4, speaker_high=0.6, eer_forgotten=0.2 + places / 100
    )
    pages = []
    for own, figures in ((found, ()), (with_speakers, ("speaker_auc", "speaker_low", "speaker_high", "eer_forgotten"))):
        (cell,) = leaderboard_cells(evidence_of(own, figures))
        pages.append("\n".join(_cell(cell, figures)))
    assert "speaker AUC" not in pages[0]
    assert "EER, forgotten (%) |" in pages[1]
    scrub = next(line for line in pages[1].splitlines() if "SCRUB" in line)
    assert "24.0" in scrub
    assert "0.540" in scrub


def test_kept_figures_fill_what_could_not_be_measured_and_nothing_else() -> None:
    found = pd.DataFrame({"trial_id": list("abc"), "finished_at": ["1", "1", "2"], "loss_auc": [0.5, np.nan, np.nan]})
    kept = pd.DataFrame({"trial_id": list("abc"), "finished_at": "1", "loss_auc": [0.9, 0.8, 0.7], "cgum": 1.0})
    filled = with_kept(found, kept)
    assert filled["loss_auc"].tolist()[:2] == [0.5, 0.8]
    assert np.isnan(filled["loss_auc"][2])
    assert filled["cgum"].notna().tolist() == [True, True, False]
    assert with_kept(found, None) is found


def test_the_page_is_markdown_and_its_html_is_next_to_it(tmp_path) -> None:
    with pytest.raises(
        ValueError, match=r"--out must name the Markdown page; got .*l\.html\. The HTML page is written"
    ):
        write_leaderboard(open_store(tmp_path), tmp_path / "l.html")


def test_lines_that_could_not_finish_an_epoch_are_named(two_tasks) -> None:
    cut = {"stop_reason": "budget", "epochs_ended": 0.0}
    rows = two_tasks.assign(epochs_ended=2.0)
    first = (rows["method"] == "scrub") & (rows["seed"] == 1)
    rows.loc[first, list(cut)] = list(cut.values())
    assert _without_an_epoch(cells_of(rows)) == "The budget ended before one epoch of a pass: SCRUB (4 of 12 runs)."
    assert _without_an_epoch(cells_of(two_tasks)) == ""


def test_hundreds_of_kept_figures_are_filled_in_without_a_warning() -> None:
    trials = {"trial_id": ["a", "b"], "finished_at": ["1", "2"]}
    found = pd.DataFrame({**trials, "figure_0": [float("nan"), 5.0]})
    kept = pd.DataFrame({**trials, **{f"figure_{i}": [float(i + 1), float(i + 2)] for i in range(200)}})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        filled = with_kept(found, kept)
    assert filled["figure_0"].tolist() == [1.0, 5.0]
    assert filled["figure_199"].tolist() == [200.0, 201.0]
    assert list(filled.columns) == [*found.columns, *(f"figure_{i}" for i in range(1, 200))]
