"""The command that repeats a trial plans that trial."""

from __future__ import annotations

import shlex

import pytest

from orchestrator import load_sweep, plan_sweep
from orchestrator.report.frames.scope import select_stored
from orchestrator.report.html.repeat import repeat_command
from orchestrator.results.store import open_store


@pytest.fixture(scope="module")
def selected(finished_small):
    return select_stored(open_store(finished_small / "r"))


def test_the_command_of_every_trial_plans_it_and_little_else(selected, finished_small, monkeypatch) -> None:
    monkeypatch.chdir(finished_small)
    for row in selected.rows.to_dict("records"):
        words = shlex.split(repeat_command(row, selected.records))
        assert words[:3] == ["unlearn", "run", "small.yaml"]
        sets = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
        planned = {spec.trial_id for spec in plan_sweep(load_sweep("small.yaml", sets)).grid.runnable}
        assert row["trial_id"] in planned
        assert len(planned) <= {"train": 5, "retrain": 5, "unlearn": 3}[row["stage"]]


def test_a_trial_of_no_known_plan_has_no_command(selected) -> None:
    row = selected.rows.iloc[0].to_dict()
    assert repeat_command({**row, "trial_id": "unknown"}, selected.records) == ""
