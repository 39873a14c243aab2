"""What Tune lost is handed out again: a machine for nothing, a worker's death ten times, an error twice."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace

import pytest

from orchestrator.plan.grid import build_grid
from orchestrator.plan.sweep_file import read_sweep
from orchestrator.plan.sweep_schema import Sweep
from orchestrator.run.assignment import Assignment
from orchestrator.run.executors import ray_searcher
from orchestrator.run.executors.ray_searcher import (
    DISPATCHERS,
    FAILURES,
    CommittedRow,
    DispatcherSearcher,
    FirstInFirstOut,
    TrialPayload,
)


class FakeDispatcher:
    """Has one assignment, whose trial leaves no row unless a test says so; counts reads."""

    def __init__(self, assignment):
        self.left, self.recorded, self.kept, self.reads = [assignment], [], None, 0
        self.stopped = ""

    def stored_row(self, trial_id):
        self.reads += 1
        return self.kept

    def replaced_row(self, trial_id):
        return "yesterday"

    def next_assignment(self):
        return self.left.pop() if self.left else None

    def record(self, trial_id, row, error=""):
        self.recorded.append(error if row is None else row["status"])

    @property
    def over(self):
        return bool(self.recorded)


@pytest.fixture
def dispatcher(small_sweep):
    sweep, _ = read_sweep(small_sweep, [])
    spec = build_grid(sweep).trials[0]
    DISPATCHERS["test"] = FakeDispatcher(Assignment(spec, spec.training, spec.method.settings))
    yield DISPATCHERS["test"]
    del DISPATCHERS["test"]


@pytest.mark.parametrize(("kind", "tries"), [("error", 3), ("death", 11), ("machine", 200)])
def test_each_kind_of_loss_has_its_own_patience(dispatcher, kind, tries):
    search, given = DispatcherSearcher("test"), 0
    while given < 200 and isinstance(search.suggest(f"tune-{given}"), dict):
        FAILURES[f"tune-{given}"] = (kind, "the text")
        search.on_trial_complete(f"tune-{given}", error=True)
        given += 1
    assert given == tries
    assert dispatcher.recorded == ([] if kind == "machine" else ["the text"])
    assert not FAILURES


def test_lost_machines_leave_the_retries_of_errors_alone(dispatcher):
    search = DispatcherSearcher("test")
    for number, kind in enumerate(["error", "machine", "death", "error", "machine", "error"]):
        assert isinstance(search.suggest(f"tune-{number}"), dict)
        FAILURES[f"tune-{number}"] = (kind, kind)
        search.on_trial_complete(f"tune-{number}", error=True)
    assert dispatcher.recorded == ["error"]
    assert search.suggest("tune-last") == ray_searcher.Searcher.FINISHED


def test_a_row_that_was_committed_before_the_process_died_is_recorded(dispatcher):
    search = DispatcherSearcher("test")
    assert isinstance(search.suggest("tune-0"), dict)
    FAILURES["tune-0"] = ("death", "")
    dispatcher.kept = {"status": "done"}
    search.on_trial_complete("tune-0", error=True)
    assert dispatcher.recorded == ["done"]


def test_the_row_that_the_actor_returned_is_recorded_without_a_read(dispatcher):
    search = DispatcherSearcher("test")
    payload = search.suggest("tune-0")["payload"]
    assert (payload.is_retry, payload.replaced) == (False, "yesterday")
    committed = CommittedRow({"status": "diverged"})
    search.on_trial_complete("tune-0", {"done": True, "ended": True, "committed": committed})
    assert dispatcher.recorded == ["diverged"]
    assert dispatcher.reads == 0
    assert committed.row is None  # Tune keeps the result


def test_what_ended_is_released(dispatcher):
    search = DispatcherSearcher("test")
    payload = search.suggest("tune-0")["payload"]
    before = len(pickle.dumps(payload))
    FAILURES["tune-0"] = ("machine", "")
    search.on_trial_complete("tune-0", error=True)
    assert len(pickle.dumps(payload)) < 200 < before
    again = search.suggest("tune-1")["payload"]  # a retry has the whole assignment
    assert again.assignment.spec.trial_id == payload.trial_id
    assert again.is_retry


def test_the_first_that_waits_is_chosen_and_finished_ones_are_not_looked_at():
    def trial(number, status):
        return SimpleNamespace(trial_id=f"a_{number:05d}", status=status)

    live = {number: trial(number, status) for number, status in ((9, "PENDING"), (8, "PENDING"), (7, "RUNNING"))}
    controller = SimpleNamespace(get_live_trials=live.values)
    assert FirstInFirstOut().choose_trial_to_run(controller) is live[8]
    del live[8], live[9]
    assert FirstInFirstOut().choose_trial_to_run(controller) is None


def test_an_interrupt_prunes_nothing(tmp_path):
    from orchestrator.results.store import open_store
    from orchestrator.run.executors.ray_tune import take_back

    store = open_store(tmp_path / "r")
    for trial_id, status in (("pruned before", "pruned"), ("stopped now", "pruned"), ("finished now", "done")):
        store.commit({"trial_id": trial_id, "status": status})
    store.rows()  # an index that knows all three
    take_back(SimpleNamespace(store=store, graph=SimpleNamespace(pending=["stopped now", "finished now"])))
    rows = store.rows().set_index("trial_id")
    assert rows["status"].to_dict() == {"pruned before": "pruned", "finished now": "done"}


def test_what_is_handed_out_is_never_copied_by_tune_and_whole_in_another_process():
    values = {
        "name": "t",
        "tasks": ["espeak_keywords"],
        "backbones": ["logmel_cnn"],
        "methods": ["scrub"],
        "seeds": [0],
    }
    spec = build_grid(Sweep.model_validate({**values, "unlearning": [{"kind": "class", "classes": ["go"]}]})).trials[-1]
    handed = TrialPayload(Assignment(spec, spec.training, spec.method.settings))
    assert copy.deepcopy({"config": {"payload": handed}})["config"]["payload"] is handed
    there = pickle.loads(pickle.dumps(handed)).assignment
    assert there == handed.assignment
    assert there.spec.trial_id == spec.trial_id
    assert spec.trial_id in repr(handed)
    assert len(repr(handed)) < 40
