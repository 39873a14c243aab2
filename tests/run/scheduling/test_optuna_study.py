from __future__ import annotations

from math import log10
from statistics import mean

import pytest

from orchestrator.run.scheduling.optuna_study import Study


def study(**changes) -> Study:
    values = {
        "study_id": "s",
        "space": {"learning_rate": (1e-5, 1e-1), "epochs": [1, 2, 4]},
        "base": {"batch_size": 8},
        "trials": [None] * 30,
    }
    return Study(**{**values, **changes})


def search(made: Study, trials: int, objective) -> list[dict]:
    asked = []
    for number in range(trials):
        settings = made.ask(number)
        asked.append(settings)
        made.tell(number, settings, objective(settings))
    return asked


def test_settings_lie_in_the_space_and_keep_the_base():
    for settings in search(study(), 12, lambda s: s["learning_rate"]):
        assert 1e-5 <= settings["learning_rate"] <= 1e-1
        assert settings["epochs"] in (1, 2, 4)
        assert settings["batch_size"] == 8


def test_the_first_trial_is_the_default():
    first = {"learning_rate": 3e-3, "epochs": 2, "other": 1}
    assert study(first=first).ask(0) == {"batch_size": 8, "learning_rate": 3e-3, "epochs": 2}


def test_a_search_repeats_and_resumes_from_what_it_was_told():
    def objective(s):
        return abs(s["learning_rate"] - 0.01)

    whole, resumed = search(study(), 10, objective), study()
    for number in range(6):
        resumed.tell(number, whole[number], objective(whole[number]))
    assert [resumed.ask(6)] == [whole[6]]


def test_a_search_learns_where_the_objective_is_small():
    def objective(s):
        return abs(log10(s["learning_rate"]) + 2)

    early, late = [], []
    for number in range(5):
        values = [objective(s) for s in search(study(study_id=f"s{number}"), 24, objective)]
        early += values[:4]
        late += values[-8:]
    assert mean(late) < 0.7 * mean(early)


def test_the_best_is_the_smallest_and_diverged_trials_lose():
    made = study()
    values = {0: None, 1: 0.4, 2: 0.2, 3: float("nan")}
    for number, value in values.items():
        made.tell(number, made.ask(number), value)
    settings, objective = made.best()
    assert objective == 0.2
    assert settings == made.ask(2)
    assert made.objective_of(0) is None


def test_a_search_that_came_to_nothing_says_so():
    made = study()
    made.tell(0, made.ask(0), None)
    with pytest.raises(ValueError, match="diverged or failed"):
        made.best()
