"""Trackers get plain values: names, settings and finite numbers."""

from __future__ import annotations

import json
import math

from orchestrator import load_sweep, plan_sweep
from orchestrator.results.store import open_store
from orchestrator.run.tracking import records


def test_a_trial_is_named_and_grouped_and_its_settings_are_known(finished_small):
    (spec,) = (s for s in plan_sweep(load_sweep(finished_small / "small.yaml")).grid.trials if s.method.name == "scrub")
    made = records.begin(spec, "small")
    assert made["name"] == "sample 0.15 scrub seed 0 (espeak_keywords, logmel_cnn)"
    assert made["group"] == "small"
    assert set(made["settings"]) == set(records.SETTINGS)
    row = open_store(finished_small / "r").row(spec.trial_id)
    assert all(str(row[name]) == str(value) for name, value in made["settings"].items())


def test_an_end_has_the_methods_settings_and_every_measure(finished_small):
    store = open_store(finished_small / "r")
    row = store.row(store.rows().set_index("method").loc["scrub", "trial_id"])
    made = json.loads(json.dumps(records.end(row)))
    assert made["settings"]["settings.epochs"] == json.loads(row["settings"])["epochs"]
    assert made["measures"]["forget_accuracy"] == row["forget_accuracy"]
    assert made["measures"]["optimization_seconds"] == row["optimization_seconds"]


def test_numbers_that_are_missing_or_not_finite_are_left_out():
    row = {
        "trial_id": "a",
        "status": "failed",
        "settings": "",
        "test_accuracy": None,
        "test_loss": math.nan,
        "steps": 3,
    }
    assert records.end(row)["measures"] == {"steps": 3.0}
    assert records.curve_values({"point": "start", "epoch": 0, "forget_loss": math.inf, "samples": 0.0}) == {
        "samples": 0.0
    }


def test_nested_settings_become_one_level():
    row = {"trial_id": "a", "status": "done", "settings": json.dumps({"a": {"b": 1}, "c": [1, 2], "d": None})}
    assert records.end(row)["settings"] == {"settings.a.b": 1, "settings.c": "[1, 2]", "settings.d": "null"}
