"""The status of a folder: earlier plans, and runs of no plan."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from orchestrator.report.status import status_tables
from orchestrator.results.store import open_store
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


def stored(rows: pd.DataFrame, folder):
    store = open_store(folder)
    for row in rows.replace({np.nan: None}).to_dict("records"):
        store.commit(row)
    return store


def test_status_shows_an_earlier_plan_and_its_failures_only_on_request(rows, change, tmp_path) -> None:
    broken = change(rows, {"method": "salun"}, status="failed", error="ValueError: too large")
    store = stored(broken, tmp_path)
    record_sweep(store.files, "mine", {}, list(broken["trial_id"]))
    record_sweep(store.files, "mine", {}, list(broken[broken["method"] != "salun"]["trial_id"]))
    record_sweep(store.files, "other", {}, list(rows["trial_id"][:2]))
    text = printed(status_tables(store))
    assert "too large" not in text
    assert "is an earlier plan" in text
    (title,) = {word for word in text.split() if word.startswith("mine@")}
    only = printed(status_tables(store, title))
    assert "too large" in only
    assert "mine" not in printed(status_tables(store, "other"))
    with pytest.raises(ValueError, match=rf"No sweep 'none' .*mine, {title}, other"):
        status_tables(store, "none")


def test_status_counts_runs_of_no_plan_such_as_those_of_a_restored_file(rows, tmp_path) -> None:
    store = stored(rows, tmp_path)
    assert f"{len(rows)} more runs are in no plan" in printed(status_tables(store))
    record_sweep(store.files, "mine", {}, list(rows["trial_id"]))
    assert "in no plan" not in printed(status_tables(store))
