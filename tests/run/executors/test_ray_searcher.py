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
    DESKS,
    FAILURES,
    DeskSearcher,
    FirstInFirstOut,
    TrialPayload,
)


class FakeDesk:
    """Hands out one assignment; its trial never leaves a row."""

    def __init__(self, assignment):
        self.left, self.settled, self.store, self.kept = [assignment], [], self, None
        self.stopped = ""

    def row(self, trial_id):
        return self.kept

    def take(self):
        return self.left.pop() if self.left else None

    def settle(self, trial_id, error):
        self.settled.append(error)

    @property
    def over(self):
        return bool(self.settled)


@pytest.fixture
def dispatcher(small_sweep):
    sweep, _ = read_sweep(small_sweep, [])
    spec = build_grid(sweep).trials[0]
    DESKS["test"] = FakeDesk(Assignment(spec, spec.training, spec.method.settings))
    yield DESKS["test"]
    del DESKS["test"]


@pytest.mark.parametrize(("kind", "tries"), [("error", 3), ("death", 11), ("machine", 200)])
def test_each_kind_of_loss_has_its_own_patience(dispatcher, kind, tries):
    search, given = DeskSearcher("test"), 0
    while given < 200 and isinstance(search.suggest(f"tune-{given}"), dict):
        FAILURES[f"tune-{given}"] = (kind, "the text")
        search.on_trial_complete(f"tune-{given}", error=True)
        given += 1
    assert given == tries
    assert dispatcher.settled == ([] if kind == "machine" else ["the text"])
    assert not FAILURES


def test_lost_machines_leave_the_retries_of_errors_alone(dispatcher):
    search = DeskSearcher("test")
    for number, kind in enumerate(["error", "machine", "death", "error", "machine", "error"]):
        assert isinstance(search.suggest(f"tune-{number}"), dict)
        FAILURES[f"tune-{number}"] = (kind, kind)
        search.on_trial_complete(f"tune-{number}", error=True)
    assert dispatcher.settled == ["error"]
    assert search.suggest("tune-last") == ray_searcher.Searcher.FINISHED


def test_a_row_of_an_earlier_launch_is_no_answer(dispatcher):
    dispatcher.kept = {"status": "failed", "finished_at": "yesterday"}  # `--retry failed`
    search = DeskSearcher("test")
    assert isinstance(search.suggest("tune-0"), dict)
    FAILURES["tune-0"] = ("machine", "")
    search.on_trial_complete("tune-0", error=True)
    assert not dispatcher.settled
    assert isinstance(search.suggest("tune-1"), dict)
    dispatcher.kept = {"status": "failed", "finished_at": "today"}  # committed, and then its process died
    FAILURES["tune-1"] = ("death", "")
    search.on_trial_complete("tune-1", error=True)
    assert len(dispatcher.settled) == 1


def test_what_ended_is_let_go(dispatcher):
    search = DeskSearcher("test")
    handed = search.suggest("tune-0")["handed"]
    before = len(pickle.dumps(handed))
    FAILURES["tune-0"] = ("machine", "")
    search.on_trial_complete("tune-0", error=True)
    assert len(pickle.dumps(handed)) < 200 < before
    again = search.suggest("tune-1")["handed"]  # what was lost is handed out whole
    assert again.assignment.spec.trial_id == handed.trial_id


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
    assert copy.deepcopy({"config": {"handed": handed}})["config"]["handed"] is handed
    there = pickle.loads(pickle.dumps(handed)).assignment
    assert there == handed.assignment
    assert there.spec.trial_id == spec.trial_id
    assert spec.trial_id in repr(handed)
    assert len(repr(handed)) < 40
