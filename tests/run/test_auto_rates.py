"""Where `learning_rate: auto` becomes a number: when a trial is handed out, once its original's rate is known."""

from __future__ import annotations

import json

import pytest

from orchestrator import plugins
from orchestrator.plan.grid import build_grid
from orchestrator.plan.sweep_schema import Sweep
from orchestrator.results.store import open_store
from orchestrator.run.launch import studies_of
from orchestrator.run.scheduling.dispatcher import Dispatcher
from orchestrator.run.searches import searches_of
from orchestrator.run.tuning import _choices

SHARE = plugins.load("methods", "scrub").rate_share


def sweep(**changes) -> Sweep:
    values = {
        "name": "t",
        "tasks": ["espeak_keywords"],
        "backbones": ["logmel_cnn"],
        "unlearning": [{"kind": "sample", "forget_ratio": 0.1}],
        "methods": ["retrain", "scrub"],
        "seeds": [0],
        "training": {"learning_rate": 2e-3},
    }
    return Sweep.model_validate({**values, **changes})


def finish(dispatcher: Dispatcher, assignment, objective: float = 0.5) -> None:
    spec = assignment.spec
    settings = assignment.training if spec.stage in ("train", "study") else assignment.method
    row = {"trial_id": spec.trial_id, "status": "done", "objective": objective, "settings": json.dumps(dict(settings))}
    dispatcher.store.commit(row)
    dispatcher.record(spec.trial_id, dispatcher.stored_row(spec.trial_id))


def handed_out(dispatcher: Dispatcher, objective=lambda assignment: 0.5) -> list:
    found = []
    while (assignment := dispatcher.next_assignment()) is not None:
        found.append(assignment)
        finish(dispatcher, assignment, objective(assignment))
    return found


def test_a_trial_gets_its_share_of_the_rate_that_its_original_is_trained_at(tmp_path):
    found = handed_out(Dispatcher(build_grid(sweep()).trials, {}, open_store(tmp_path)))
    (settings,) = (a.method for a in found if a.spec.method.name == "scrub")
    assert settings["learning_rate"] == pytest.approx(SHARE * 2e-3)
    assert settings["rate_share"] == SHARE


def test_under_a_searched_original_it_is_the_share_of_the_rate_that_the_search_chose(tmp_path):
    searched = {"study": {"trials": 4, "learning_rate": [1e-4, 1e-2]}}
    grid = build_grid(sweep(training=searched))
    dispatcher = Dispatcher(grid.trials, studies_of(grid), open_store(tmp_path))
    found = handed_out(dispatcher, lambda a: a.training["learning_rate"])  # the smallest is best
    tried = [a.training["learning_rate"] for a in found if a.spec.stage == "study"]
    (settings,) = (a.method for a in found if a.spec.stage == "unlearn")
    assert len(set(tried)) == 4
    assert settings["learning_rate"] == pytest.approx(SHARE * min(tried))


def test_a_number_stays_and_carries_no_share(tmp_path):
    methods = ["retrain", {"name": "scrub", "learning_rate": 3e-5}]
    found = handed_out(Dispatcher(build_grid(sweep(methods=methods)).trials, {}, open_store(tmp_path)))
    (settings,) = (a.method for a in found if a.spec.method.name == "scrub")
    assert settings["learning_rate"] == 3e-5
    assert "rate_share" not in settings


@pytest.mark.parametrize("space", [{}, {"scrub": {"learning_rate": [1e-6, 1e-5]}}], ids=["shares", "numbers"])
def test_a_search_starts_with_the_resolved_default_and_a_lock_holds_numbers(tmp_path, space):
    made = sweep(tuning={"spaces": space})
    found_searches = searches_of(build_grid(made), made, 6, "rewind")
    dispatcher = Dispatcher(found_searches.trials, found_searches.studies, open_store(tmp_path))
    tried = [
        a.method for a in handed_out(dispatcher, lambda a: a.method.get("learning_rate", 0.0)) if "order" in a.method
    ]
    rates = [settings["learning_rate"] for settings in tried]
    assert rates[0] == pytest.approx(SHARE * 2e-3)  # for the second space outside it
    low, high = space.get("scrub", {}).get("learning_rate", (0.005 * 2e-3, 1.0 * 2e-3))
    assert all(low <= rate <= high for rate in rates[1:])
    assert len(set(rates)) == 6
    (choice,) = _choices(found_searches, made)
    assert choice.settings["learning_rate"] == min(rates)
    assert "rate_share" not in choice.settings
