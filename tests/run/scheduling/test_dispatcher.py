from __future__ import annotations

import contextlib
import errno
import os

import pytest

from orchestrator.errors import DamagedFile, FolderFull
from orchestrator.plan.grid import build_grid
from orchestrator.plan.sweep_schema import Sweep
from orchestrator.results.storage import Folder
from orchestrator.results.store import Store, open_store
from orchestrator.run.guards.unseen_gpu import UNSEEN
from orchestrator.run.scheduling import dispatcher as dispatcher_module
from orchestrator.run.scheduling import driver_lease
from orchestrator.run.scheduling.circuit_breaker import Breaker
from orchestrator.run.scheduling.dispatcher import Dispatcher

TRIALS = build_grid(
    Sweep.model_validate(
        {
            "name": "t",
            "tasks": ["espeak_keywords"],
            "backbones": ["logmel_cnn"],
            "unlearning": [{"kind": "sample", "forget_ratio": [0.01, 0.02, 0.05]}],
            "methods": ["original", "scrub"],
            "seeds": [0],
        }
    )
).trials
ORIGINAL = TRIALS[0].trial_id


@pytest.fixture
def store(tmp_path) -> Store:
    return open_store(tmp_path)


def record(dispatcher: Dispatcher, trial_id: str, error: str = "") -> None:
    """Record a trial whose worker returned no row."""
    dispatcher.record(trial_id, dispatcher.stored_row(trial_id), error)


def finish(dispatcher: Dispatcher, status: str = "done", error: str = "") -> str:
    """Start a trial, commit its row and record it; return its id."""
    spec = dispatcher.next_assignment().spec
    dispatcher.store.commit({"trial_id": spec.trial_id, "status": status, "error": error})
    record(dispatcher, spec.trial_id)
    return spec.trial_id


def test_the_index_grows_with_the_run_so_that_a_killed_driver_leaves_few_rows_to_open(store, monkeypatch):
    monkeypatch.setattr(dispatcher_module, "INDEXED_AFTER", 3)
    dispatcher = Dispatcher(TRIALS, {}, store)
    for _ in range(4):
        finish(dispatcher)
    assert len(store._index()) == 3


def test_a_disk_that_is_full_on_the_worker_stops_the_launch_and_blames_no_trial(store):
    dispatcher = Dispatcher(TRIALS, {}, store)
    taken = dispatcher.next_assignment().spec.trial_id
    dispatcher.record(
        taken,
        dispatcher.stored_row(taken),
        f"Traceback\nOSError: [Errno 28] {os.strerror(errno.ENOSPC)}: 'features.npy'",
    )
    assert "no room left: OSError" in dispatcher.stopped
    assert "features.npy" in dispatcher.stopped
    assert dispatcher.next_assignment() is None
    assert store.row(taken) is None
    assert set(dispatcher.graph.pending) == {spec.trial_id for spec in TRIALS}


def test_a_disk_that_is_full_on_the_driver_stops_the_launch(store, monkeypatch):
    def full(self, row):
        raise FolderFull(errno.ENOSPC, "no space for rows")

    dispatcher = Dispatcher(TRIALS, {}, store)
    taken = dispatcher.next_assignment().spec.trial_id
    monkeypatch.setattr(Store, "commit", full)
    record(dispatcher, taken, "RuntimeError: something else")
    assert "no space for rows" in dispatcher.stopped
    assert taken in dispatcher.graph.pending


def test_what_runs_is_still_settled_after_the_launch_gave_up(store):
    dispatcher = Dispatcher(TRIALS, {}, store, breaker=Breaker(2))
    finish(dispatcher)
    running = dispatcher.next_assignment().spec.trial_id
    for _ in range(2):
        finish(dispatcher, "failed", "KeyError: 1")
    assert "the same error in 2 trials" in dispatcher.stopped
    assert dispatcher.next_assignment() is None
    store.commit({"trial_id": running, "status": "done"})
    record(dispatcher, running)
    assert dispatcher.graph.counts()["done"] == 2
    assert not dispatcher.over


def test_a_parent_that_is_lost_again_and_again_fails_the_child_in_the_end(store):
    dispatcher = Dispatcher(TRIALS, {}, store)
    for _ in range(dispatcher_module.MOST_RERUNS + 1):
        assert finish(dispatcher) == ORIGINAL
        child = dispatcher.next_assignment().spec.trial_id
        store.withdraw(ORIGINAL)
        if dispatcher.reruns.get(ORIGINAL, 0) < dispatcher_module.MOST_RERUNS:
            with pytest.warns(DamagedFile, match=f"trial {ORIGINAL} runs again, {child} after it: the model is gone"):
                record(dispatcher, child, "the model is gone")
    record(dispatcher, child, "the model is gone")
    assert store.row(child)["status"] == "failed"
    assert store.row(child)["error"] == "the model is gone"


@pytest.fixture
def failed_before(store):
    """A store in which the original failed; the dispatcher of a launch that runs it again."""
    store.commit({"trial_id": ORIGINAL, "status": "failed", "error": "KeyError: old", "finished_at": "yesterday"})
    dispatcher = Dispatcher(TRIALS, {}, store, should_retry=lambda row: True)
    assert dispatcher.next_assignment().spec.trial_id == ORIGINAL
    return dispatcher


def test_the_row_of_an_earlier_launch_does_not_hide_that_the_disk_is_full_now(failed_before):
    failed_before.record(
        ORIGINAL, failed_before.stored_row(ORIGINAL), f"OSError: [Errno 28] {os.strerror(errno.ENOSPC)}"
    )
    assert "no room left" in failed_before.stopped


def test_a_trial_that_runs_again_and_dies_has_its_new_error(failed_before, monkeypatch):
    monkeypatch.setattr("orchestrator.run.evaluation.row.failed_row", lambda assignment, error: {
        "trial_id": ORIGINAL, "status": "failed", "error": error, "finished_at": "today",
    })  # fmt: skip
    record(failed_before, ORIGINAL, "RuntimeError: new")
    assert failed_before.store.row(ORIGINAL)["error"] == "RuntimeError: new"


def test_a_trial_that_runs_again_and_ends_well_is_done(failed_before):
    failed_before.store.commit({"trial_id": ORIGINAL, "status": "done", "finished_at": "today"})
    record(failed_before, ORIGINAL)
    assert failed_before.graph.counts()["done"] == 1


@pytest.fixture
def driven(monkeypatch):
    """A store without locks, driven by us, and the same store as workers of an earlier driver write to it."""
    monkeypatch.setattr(driver_lease, "SETTLE_SECONDS", 0.0)
    bucket = Folder("mock:///bucket")
    for folder in ("rows", "damaged/rows"):  # a mock of a store with folders
        bucket._fs()[0].create_dir(f"bucket/{folder}")
    with driver_lease.sole_driver(bucket) as held:
        earlier = driver_lease.LeasedFolder(bucket.location, bucket._opened, "000000-earlier")
        monkeypatch.setattr(
            driver_lease.LeasedFolder, "changing", lambda self: contextlib.nullcontext()
        )  # it looked before
        yield Store(held.files), Store(earlier)


def test_a_row_that_an_earlier_driver_committed_meanwhile_is_run_again(driven):
    ours, earlier = driven
    dispatcher = Dispatcher(TRIALS, {}, ours)
    taken = dispatcher.next_assignment().spec.trial_id
    earlier.commit({"trial_id": taken, "status": "done"})
    with pytest.warns(DamagedFile, match=f"trial {taken} runs again: its row was written for a driver that had lost"):
        record(dispatcher, taken)
    assert ours.row(taken) is None
    assert finish(dispatcher) == taken
    assert dispatcher.graph.counts()["done"] == 1


def test_a_row_that_an_earlier_driver_wrote_over_ours_is_run_again_before_the_launch_ends(driven):
    ours, earlier = driven
    dispatcher = Dispatcher(TRIALS, {}, ours)
    done = [finish(dispatcher) for _ in TRIALS]
    earlier.commit({"trial_id": done[-1], "status": "done"})
    with pytest.warns(DamagedFile, match="runs again"):
        assert finish(dispatcher) == done[-1]
    ours.files.delete("index.parquet")  # in the mock, all files are of one time
    assert dispatcher.next_assignment() is None
    assert dispatcher.over
    assert set(ours.rows()["driver_token"]) == {ours.files.driver}


def test_a_late_row_of_an_earlier_launch_is_run_again(store):
    for trial, token in zip(TRIALS, ["early", "late", "early"], strict=False):
        store.commit({"trial_id": trial.trial_id, "status": "done", "driver_token": token})
    with pytest.warns(DamagedFile, match="runs again"):
        dispatcher = Dispatcher(TRIALS, {}, store, is_late=lambda row: row["driver_token"] == "late")
    assert dispatcher.num_already_done == 2
    assert store.row(TRIALS[1].trial_id) is None


def test_a_driver_that_lost_its_lease_writes_no_row_for_a_trial_that_left_none(driven, monkeypatch):
    ours, _ = driven
    dispatcher = Dispatcher(TRIALS, {}, ours)
    taken = dispatcher.next_assignment().spec.trial_id
    monkeypatch.undo()
    ours.files.write_bytes(driver_lease.NAME, b'{"token": "999999-later", "pid": 1}')
    record(dispatcher, taken, "LeaseLost: nothing was written")
    assert "another driver" in dispatcher.stopped
    assert ours.row(taken) is None
    assert taken in dispatcher.graph.pending


def test_a_gpu_that_is_not_seen_stops_the_launch_and_blames_no_trial(store):
    dispatcher = Dispatcher(TRIALS, {}, store)
    taken = dispatcher.next_assignment().spec.trial_id
    record(dispatcher, taken, f"{UNSEEN} torch 2 on node7 sees none")
    assert "node7" in dispatcher.stopped
    assert store.row(taken) is None
    assert taken in dispatcher.graph.pending


def test_a_row_that_the_worker_returned_is_not_read(store, monkeypatch):
    read = []
    monkeypatch.setattr(Store, "row", lambda self, trial_id: read.append(trial_id))
    dispatcher = Dispatcher(TRIALS, {}, store)
    trial_id = dispatcher.next_assignment().spec.trial_id
    dispatcher.record(trial_id, {"trial_id": trial_id, "status": "done"})
    assert dispatcher.graph.counts()["done"] == 1
    assert read == []


def test_a_row_that_the_worker_did_not_return_is_read_once(store, monkeypatch):
    real, read = Store.row, []
    monkeypatch.setattr(Store, "row", lambda self, trial_id: read.append(trial_id) or real(self, trial_id))
    finish(Dispatcher(TRIALS, {}, store))
    assert read == [ORIGINAL]
