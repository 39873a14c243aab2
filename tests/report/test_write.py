"""The report's folder as a whole."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from orchestrator.report import write
from orchestrator.report.build import build_report
from orchestrator.report.frames.scope import select
from orchestrator.report.write import write_files, write_report
from orchestrator.results.schema import SCHEMA
from orchestrator.results.store import open_store
from orchestrator.results.sweep_records import SweepRecord

METHODS = ["original", "retrain", "grad_ascent", "bad_teacher", "scrub"]


@pytest.fixture(scope="module")
def rows(make_rows, make_search_rows, change):
    """A sweep in which one run diverged and one collapsed, and a search."""
    found = make_rows(methods=METHODS, superloss=["scrub"], ratios=[0.01, 0.1], seeds=[0, 1])
    cell = {"method": "bad_teacher", "seed": 1, "unlearning": "class"}
    found = change(found, cell, status="diverged", error="Traceback\nDiverged: loss is nan | step 7")
    found = change(found, {"method": "grad_ascent", "seed": 0, "unlearning": "class"}, collapsed=True)
    return pd.concat([found, make_search_rows()], ignore_index=True)


@pytest.fixture(scope="module")
def report(rows, tmp_path_factory):
    """The files of the report of `rows`."""
    return write_files(build_report(select(rows)), tmp_path_factory.mktemp("results") / "report")


def test_everything_that_the_report_points_to_is_there(report) -> None:
    folder = report[0].parent
    links = re.findall(r"\]\(([^)]+)\)", report[0].read_text())
    assert report[0].name == "report.md"
    assert {folder / link for link in links} <= set(report)
    assert all(path.stat().st_size for path in report)
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted(report)  # no scratch files


def test_reasons_of_runs_that_did_not_go_well_are_listed(report) -> None:
    text = report[0].read_text()
    assert r"Diverged: loss is nan \| step 7" in text
    assert "one class takes more than 90 % of predictions" in text
    found = pd.read_csv(report[0].parent / "problems.csv")
    assert found["status"].value_counts()["collapsed"] == 1
    assert found.iloc[-1]["stage"] == "tune"  # searches last


def test_plots_are_vector_pictures_with_marks_and_text(report) -> None:
    plots = [path for path in report if path.suffix == ".svg"]
    names = {path.stem.rsplit("--", 1)[-1] for path in plots}
    assert names >= {"forget-against-test", "gap-to-retrain", "forget-by-ratio", "cost", "search"}
    for path in plots:
        drawn = ElementTree.fromstring(path.read_bytes())
        texts = [part.text for part in drawn.iter("{http://www.w3.org/2000/svg}text")]
        assert len(texts) > 5
        assert len(list(drawn.iter("{http://www.w3.org/2000/svg}path"))) > 3
        assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF-")


def test_a_clean_sweep_has_no_list_of_problems(make_rows, tmp_path) -> None:
    written = write_files(build_report(select(make_rows(methods=METHODS, kinds=["sample"]))), tmp_path)
    assert "## Problems" not in written[0].read_text()
    assert not (tmp_path / "problems.csv").exists()


def test_an_empty_folder_is_refused_and_nothing_is_written(tmp_path) -> None:
    rows = pd.DataFrame(columns=SCHEMA.names)
    with pytest.raises(ValueError, match="has no row yet"):
        write_files(build_report(select(rows)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rows_that_all_failed_still_give_a_report(make_rows, tmp_path) -> None:
    rows = make_rows(seeds=[0]).assign(status="failed", error="ValueError: no")
    measured = [name for name in rows if re.search("accuracy|mia_n|seconds", name)]
    text = write_files(build_report(select(rows.assign(**dict.fromkeys(measured, np.nan)))), tmp_path)[0].read_text()
    assert "ValueError: no" in text
    assert "0/1" in text


def test_equal_rows_give_equal_files(rows, report, tmp_path) -> None:
    again = write_files(build_report(select(rows.sample(frac=1, random_state=0))), tmp_path)
    assert [path.name for path in report] == [path.name for path in again]
    pairs = list(zip(report, again, strict=True))
    assert [a.name for a, b in pairs if a.suffix != ".pdf" and a.read_bytes() != b.read_bytes()] == []
    assert [
        a.name for a, b in pairs if a.stat().st_size != b.stat().st_size
    ] == []  # a PDF lists its parts in any order


def test_a_failed_write_leaves_the_old_report_whole(make_rows, tmp_path, monkeypatch) -> None:
    old = write_files(build_report(select(make_rows(methods=METHODS, kinds=["sample"]))), tmp_path)[0].read_text()

    def full_disk(source, target):
        raise OSError("no space left on device")

    monkeypatch.setattr(write.os, "replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_files(build_report(select(make_rows(methods=METHODS, kinds=["class"]))), tmp_path)
    assert (tmp_path / "report.md").read_text() == old
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


def test_planned_runs_without_a_row_are_missing(make_rows, tmp_path) -> None:
    rows = make_rows(kinds=["sample"], seeds=[0, 1])
    planned = [
        SweepRecord("made-up", "1", {"seeds": [0, 1, 2]}, (*rows["trial_id"], "x", "y"), "1"),
        SweepRecord("made-up.tune", "1", {"seeds": [7]}, tuple(rows["trial_id"]), "1"),
        SweepRecord("elsewhere", "1", {"seeds": [8, 9]}, ("z",), "1"),
    ]
    text = write_files(build_report(select(rows, planned)), tmp_path)[0].read_text()
    assert f"made-up: 2 of {len(rows) + 2} planned runs" in text
    assert "2/3" in text
    assert "2/5" not in text


def test_rows_from_a_store_read_like_made_up_ones(make_rows, tmp_path) -> None:
    rows = make_rows(methods=METHODS, kinds=["sample"], seeds=[0, 1])
    store = open_store(tmp_path / "results")
    for row in rows.replace({np.nan: None}).to_dict("records"):
        store.commit(row)
    direct = write_files(build_report(select(rows)), tmp_path / "a")[0]
    assert direct.read_text() == write_report(tmp_path / "results")[0].read_text()
