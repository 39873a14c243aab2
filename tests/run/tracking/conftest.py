"""Records of two trials of the small sweep, sent to a tracker in this process."""

from __future__ import annotations

import io
import json
import shutil

import pytest

from orchestrator import load_sweep, plan_sweep
from orchestrator.results.store import open_store
from orchestrator.run.tracking import records
from orchestrator.run.tracking.process import Follower


@pytest.fixture
def store(finished_small, tmp_path):
    """A copy of the small sweep's results."""
    return open_store(shutil.copytree(finished_small / "r", tmp_path / "r"))


@pytest.fixture
def scrub(finished_small):
    """The trial of SCRUB."""
    (spec,) = (s for s in plan_sweep(load_sweep(finished_small / "small.yaml")).grid.trials if s.method.name == "scrub")
    return spec


@pytest.fixture
def grad_ascent(finished_small):
    """The trial of gradient ascent."""
    trials = plan_sweep(load_sweep(finished_small / "small.yaml")).grid.trials
    (spec,) = (s for s in trials if s.method.name == "grad_ascent")
    return spec


@pytest.fixture
def sent(store, scrub, grad_ascent):
    """Sends SCRUB, which ends, and gradient ascent, which is interrupted, to trackers; returns what failed."""

    def send(*names: str) -> list[dict[str, str]]:
        out = io.StringIO()
        follower = Follower(store, names, out)
        events = [
            records.begin(scrub, "small"),
            records.begin(grad_ascent, "small"),
            records.progress(scrub.trial_id),
            records.progress(scrub.trial_id),
            records.end(store.row(scrub.trial_id)),
        ]
        follower.follow(map(json.dumps, events))
        return [json.loads(line) for line in out.getvalue().splitlines()]

    return send
