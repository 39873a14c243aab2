"""Budgets in seconds belong to a class of device: kept apart on a mixed cluster, and named where they cross."""

from __future__ import annotations

import pytest

from orchestrator import load_sweep, read_rows, run_sweep
from orchestrator.plan.grid import build_grid
from orchestrator.plan.sweep_file import read_sweep
from orchestrator.results.store import open_store
from orchestrator.run.executors.ray_placement import device_classes, family

MIXED = {"CPU": 64.0, "GPU": 12.0, "accelerator_type:A100": 1.0, "accelerator_type:H200": 2.0}


@pytest.fixture
def specs(small_sweep):
    def of(*overrides):
        values = ["backbones=[{name: logmel_cnn}, {name: logmel_gru}]", *overrides]
        return build_grid(read_sweep(small_sweep, values)[0]).trials

    return of


def test_what_is_compared_runs_on_one_class(specs):
    trials = specs("time_budget={fraction: 1.0, unit: seconds}")
    chosen = device_classes(trials, MIXED, {})
    assert set(chosen) == {family(spec) for spec in trials}
    assert set(chosen.values()) == {"accelerator_type:A100", "accelerator_type:H200"}  # and no class is idle


def test_a_family_goes_on_where_its_retrain_was_measured(specs):
    trials = specs("time_budget={fraction: 1.0, unit: seconds}")
    measured = {family(spec): "NVIDIA A100-SXM4-40GB" for spec in trials}
    assert set(device_classes(trials, MIXED, measured).values()) == {"accelerator_type:A100"}


def test_nothing_is_kept_apart_without_need(specs):
    assert device_classes(specs(), MIXED, {}) == {}  # samples are the same everywhere
    trials = specs("time_budget={fraction: 1.0, unit: seconds}")
    assert device_classes(trials, {"GPU": 8.0, "accelerator_type:H200": 1.0}, {}) == {}


def test_a_budget_from_another_class_says_so(small_sweep, cache_dir, tmp_path):
    loaded = load_sweep(small_sweep, ["time_budget={fraction: 1.0, unit: seconds}", "methods=[retrain, grad_ascent]"])
    first = load_sweep(small_sweep, ["time_budget={fraction: 1.0, unit: seconds}", "methods=[retrain]"])
    run_sweep(first, tmp_path / "r", executor="local", cache_dir=cache_dir)
    store = open_store(tmp_path / "r")
    (retrain,) = store.rows().query("stage == 'retrain'")["trial_id"]
    store.commit({**store.row(retrain), "device": "NVIDIA A100-SXM4-40GB"})
    run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    row = read_rows(tmp_path / "r").set_index("method").loc["grad_ascent"]
    assert row["budget_source"] == "retrain seconds on NVIDIA A100-SXM4-40GB"
