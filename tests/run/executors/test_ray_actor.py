"""An actor in this process, without Ray: what it answers, and what it reads."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from orchestrator import load_sweep, plan_sweep
from orchestrator.results.store import Store, open_store
from orchestrator.run.assignment import Assignment
from orchestrator.run.executors import ray_actor
from orchestrator.run.executors.ray_searcher import TrialPayload
from orchestrator.run.setup.context import Limits


@pytest.fixture
def make_actor(small_sweep, tmp_path, cache_dir, monkeypatch):
    """Makes an actor for the trial that trains the original, and a list of the rows that are read."""
    spec = plan_sweep(load_sweep(small_sweep, ["training.epochs=1"])).grid.trials[0]
    store, real, reads = open_store(tmp_path / "r"), Store.row, []
    monkeypatch.setattr(ray_actor.ray, "get_gpu_ids", list)
    monkeypatch.setattr(ray_actor, "LeasedFolder", lambda location, token: store.files)
    monkeypatch.setattr(Store, "row", lambda self, trial_id: reads.append(trial_id) or real(self, trial_id))

    def make(*, is_retry):
        payload = TrialPayload(Assignment(spec, spec.training, spec.method.settings), is_retry=is_retry)
        actor = ray_actor.TrialActor.__new__(ray_actor.TrialActor)
        actor.setup(
            {
                "payload": payload, "location": store.files.location, "driver": "", "cache_dir": str(cache_dir),
                "cache_limit_gb": 50.0, "limits": asdict(Limits()), "gpus": 1.0, "timed": False, "prune": False,
            }
        )  # fmt: skip
        return actor, store, reads

    return make


def answer_of(actor):
    """Step to the end; return the last answer."""
    while not (answer := actor.step())["done"]:
        pass
    return answer


def test_an_actor_returns_the_row_that_it_committed_and_reads_none(make_actor):
    actor, store, reads = make_actor(is_retry=False)
    row = answer_of(actor)["committed"].row
    assert row["status"] == "done"
    assert reads == []
    assert store.row(row["trial_id"])["finished_at"] == row["finished_at"]


def test_a_retry_returns_the_row_of_the_attempt_before_it(make_actor):
    first, _, _ = make_actor(is_retry=False)
    row = answer_of(first)["committed"].row
    second, _, reads = make_actor(is_retry=True)
    assert answer_of(second)["committed"].row["finished_at"] == row["finished_at"]
    assert reads == [row["trial_id"]]
