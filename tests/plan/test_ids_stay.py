"""Ids of trials stay: what was run with an earlier commit of this version still counts as done."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from orchestrator import load_sweep, plan_sweep, read_rows
from orchestrator.report.archive import restore_results
from orchestrator.results.store import open_store

FIXTURES = Path(__file__).parents[1] / "fixtures"
IDS = json.loads((FIXTURES / "ids.json").read_text())
spec = importlib.util.spec_from_file_location("make_fixtures", FIXTURES / "make.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


@pytest.mark.parametrize("sweep", make.SHIPPED)
def test_a_shipped_sweep_has_the_ids_it_had(sweep) -> None:
    assert make.ids_of(sweep) == IDS[sweep]


def test_finished_trials_of_an_earlier_commit_restore_as_done(tmp_path) -> None:
    restored = restore_results(FIXTURES / "finished.parquet", open_store(tmp_path / "r"))
    plan = plan_sweep(load_sweep(FIXTURES / "finished.yaml"), tmp_path / "r", cache_dir=tmp_path / "cache")
    assert not plan.pending
    assert restored == len(plan.grid.trials) == len(read_rows(tmp_path / "r"))
    assert set(plan.statuses.values()) == {"done"}
