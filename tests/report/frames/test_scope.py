"""Pages of one sweep or of tuned runs; earlier plans; what two sweeps call alike; tuned and untuned settings."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.report.build import build_report
from orchestrator.report.evidence.write import write_evidence
from orchestrator.report.frames.scope import Selection, select
from orchestrator.report.leaderboard.page import write_leaderboard
from orchestrator.report.write import write_files, write_report
from orchestrator.results.store import open_store, read_rows
from orchestrator.results.sweep_records import SweepRecord, record_sweep

METHODS = ["original", "retrain", "scrub", "salun"]


@pytest.fixture
def rows(make_rows) -> pd.DataFrame:
    return make_rows(methods=METHODS, kinds=["sample"], seeds=[0, 1, 2]).assign(num_classes=12)


def printed(shown) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for one in shown:
        console.print(one, soft_wrap=isinstance(one, str))
    return " ".join(console.export_text().split())


def record(name: str, rows: pd.DataFrame, planned_at: str = "1", **kwargs) -> SweepRecord:
    return SweepRecord(name, planned_at, {"seeds": [0, 1, 2]}, tuple(rows["trial_id"]), planned_at, **kwargs)


def page_of(out, *selected) -> str:
    """The text of report.md, for the arguments of `select`."""
    return write_files(build_report(select(*selected)), out)[0].read_text()


def stored(rows: pd.DataFrame, folder):
    store = open_store(folder)
    for row in rows.replace({np.nan: None}).to_dict("records"):
        store.commit(row)
    return store


@pytest.mark.parametrize(
    ("last_seed_of_scrub", "last_seed", "winner"),
    [(2, 2, "SCRUB"), (1, 2, "SalUn"), (1, 1, "")],
    ids=["all done", "SCRUB lacks a seed", "every method lacks a seed"],
)
def test_a_half_done_sweep_has_one_winner_wherever_it_is_shown(
    rows, tmp_path, monkeypatch, last_seed_of_scrub, last_seed, winner
) -> None:
    """SCRUB has the smallest gap. Once a seed of it is missing, only the plan shows which lines are complete."""
    there = rows[(rows["seed"] <= last_seed) & ~((rows["method"] == "scrub") & (rows["seed"] > last_seed_of_scrub))]
    results = tmp_path / "r"
    store = stored(there.assign(num_forget=40), results)
    record_sweep(store.files, "made-up", {"seeds": [0, 1, 2]}, tuple(rows["trial_id"]))
    pages = {
        "terminal": CliRunner().invoke(app, ["report", str(results), "--out", str(tmp_path / "a")]).output,
        "report.md": (tmp_path / "a" / "report.md").read_text(),
        "Python": write_report(results, tmp_path / "b")[0].read_text(),
        "leaderboard": write_leaderboard(store, tmp_path / "leaderboard.md").read_text(),
    }
    winners = {
        page: set(re.findall(r"Closest to Retrain: (\w+),", " ".join(text.split()))) for page, text in pages.items()
    }
    assert winners == dict.fromkeys(pages, {winner} - {""})
    evidence, *_ = write_evidence(store, tmp_path / "c")
    seeds = {text: f"{1 + last}/3" for text, last in (("SCRUB", last_seed_of_scrub), ("SalUn", last_seed))}
    for label, counted in seeds.items():
        for text in (pages["report.md"], evidence.read_text()):
            (row,) = re.findall(rf"^\| \**{label}\b.*", text, re.MULTILINE)[:1]
            assert counted in row


def test_failures_of_an_earlier_plan_are_left_out_and_counted(rows, change, tmp_path) -> None:
    broken = change(rows, {"method": "salun"}, status="failed", error="ValueError: too large")
    fixed = broken[broken["method"] != "salun"]
    records = [record("made-up", fixed, "2"), record("made-up", broken, "1", replaced=True)]
    text = page_of(tmp_path, broken, records)
    assert "too large" not in text
    assert "SalUn" not in text
    assert "Left out: 3 runs that did not finish" in text
    again = page_of(tmp_path, broken, records, Selection(records[1].title))
    assert "too large" in again
    assert "too large" in page_of(tmp_path, broken)  # without records nothing is given up


def test_a_page_of_one_sweep_has_its_rows_only_wherever_it_is_asked_for(rows, tmp_path) -> None:
    store = stored(rows, tmp_path)
    mine = rows[rows["method"] != "salun"]
    record_sweep(store.files, "mine", {"seeds": [0]}, list(mine["trial_id"]))
    record_sweep(store.files, "all", {"seeds": [0]}, list(rows["trial_id"]))
    only = Selection("mine")
    page_of(tmp_path / "r", store.rows(), [record("mine", mine), record("all", rows)], only)
    pages = [
        write_evidence(store, tmp_path / "e", only)[0],
        write_leaderboard(store, tmp_path / "l.md", only),
        tmp_path / "r" / "report.md",
    ]
    for page in pages:
        assert "SCRUB" in page.read_text()
        assert "SalUn" not in page.read_text()
    assert set(read_rows(tmp_path)["sweeps"]) == {"all,mine", "all"}
    assert set(pd.read_csv(tmp_path / "e" / "evidence.csv")["sweeps"]) == {"all,mine"}


def test_a_sweep_that_is_not_there_is_refused_with_those_that_are(rows) -> None:
    with pytest.raises(ValueError, match=r"belongs to the sweep 'mine'\. Sweeps in this folder: made-up"):
        select(rows, [], Selection("mine"))
    assert len(select(rows, [], Selection("made-up")).rows) == len(rows)  # of a compacted file, without records


def recipes(rows: pd.DataFrame, suffix: str, fingerprint: str, clips: int, layers: int = 2) -> pd.DataFrame:
    recipe = {
        "task": {"settings": {"clips": clips}, "content": fingerprint},
        "backbone": {"settings": {"layers": layers}, "content": ""},
    }
    parent = rows["parent_retrain"] + suffix
    ids = {"trial_id": rows["trial_id"] + suffix, "parent_retrain": parent, "corpus_fingerprint": fingerprint}
    return rows.assign(**ids, recipe=json.dumps(recipe))


def test_two_corpora_of_one_name_have_a_table_each(rows) -> None:
    both = pd.concat([recipes(rows, "-a", "aaaa", 240), recipes(rows, "-b", "bbbb", 360)], ignore_index=True)
    report = build_report(select(both))
    assert [table.task for table in report.tables] == ["espeak_keywords (clips 240)", "espeak_keywords (clips 360)"]
    assert report.superseded.empty
    same = pd.concat([recipes(rows, "-a", "aaaaaaaaaa", 240), recipes(rows, "-b", "bbbbbbbbbb", 240)])
    titles = [table.task for table in build_report(select(same.reset_index(drop=True))).tables]
    assert titles == ["espeak_keywords (corpus aaaaaaaa)", "espeak_keywords (corpus bbbbbbbb)"]
    assert len({table.name for table in report.tables}) == 2


def test_a_corpus_that_only_searches_used_changes_no_title(rows) -> None:
    searched = recipes(rows, "-s", "bbbb", 360).assign(tuning=True, seed=1000, stage="tune")
    original = recipes(rows.head(1), "-o", "bbbb", 360).assign(stage="train", seed=1000)
    found = select(pd.concat([recipes(rows, "-a", "aaaa", 240), searched, original], ignore_index=True)).rows
    assert set(found["task"]) == {"espeak_keywords"}
    both = select(pd.concat([recipes(rows, "-a", "aaaa", 240), recipes(rows, "-b", "bbbb", 360), searched])).rows
    assert set(both["task"]) == {"espeak_keywords (clips 240)", "espeak_keywords (clips 360)"}


def test_two_backbones_of_one_name_have_a_table_each(rows) -> None:
    both = pd.concat([recipes(rows, "-a", "a", 240), recipes(rows, "-b", "a", 240, layers=4)], ignore_index=True)
    report = build_report(select(both))
    assert {name for table in report.tables for name in table.backbones} == {
        "whisper_nano (layers 2)",
        "whisper_nano (layers 4)",
    }
    assert report.superseded.empty


def test_runs_under_another_precision_are_lines_of_their_own(rows) -> None:
    parts = [
        rows.assign(trial_id=rows["trial_id"] + p, recipe=json.dumps({"loop": {"precision": p, "threads": len(p)}}))
        for p in ("fp32", "bf16")
    ]
    report = build_report(select(pd.concat(parts, ignore_index=True)))
    labels = {line.label for line in report.tables[0].blocks[0].lines}
    assert {"SCRUB (loop.precision bf16)", "SCRUB (loop.precision fp32)"} <= labels
    assert report.superseded.empty


def test_unchanged_runs_are_marked_and_explained(rows, tmp_path) -> None:
    rows["unchanged"] = (rows["method"] == "scrub") & (rows["seed"] < 2)
    rows["unchanged"] = rows["unchanged"].astype(object).where(rows["method"] != "retrain", None)  # null: not measured
    rows.loc[rows["method"] == "original", "unchanged"] = True
    (table,) = build_report(select(rows)).tables
    assert {line.label: line.flags_text for line in table.blocks[0].lines if line.flags_text} == {
        "SCRUB": "2 unchanged"
    }
    text = page_of(tmp_path, rows)
    assert "2 unchanged" in text
    assert "Runs that did not finish" not in text
    assert any(line.best for line in table.blocks[0].lines)  # unchanged runs are compared
