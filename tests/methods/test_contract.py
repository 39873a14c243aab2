"""One suite over every method found, so that a new one cannot stay untested."""

from __future__ import annotations

import ast
import inspect
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
import torch

from orchestrator import plugins

NAMES = plugins.names("methods")


def test_the_papers_methods_are_found():
    assert {"original", "retrain", "grad_ascent", "random_label", "salun", "scrub", "bad_teacher"} <= set(NAMES)


def problem_for(kit, method, **limits):
    """A problem; for a method that reads what training kept, one whose original was trained so, on D_f and D_r."""
    problem = kit.make_problem(**limits)
    if method.requires_training:
        trained = kit.make_problem()
        trained.retain, trained.artifacts_to_store = trained.forget + trained.retain, {}
        kit.run(plugins.load("trainings", method.requires_training), trained)
        problem.model.load_state_dict(trained.model.state_dict())
        problem.original_artifacts = trained.artifacts_to_store
    return problem


@pytest.mark.parametrize("name", NAMES)
def test_runs_and_repeats_bit_for_bit(kit, name):
    ends = []
    for _ in range(2):
        torch.manual_seed(0)
        method = plugins.load("methods", name)
        problem = problem_for(kit, method)
        outcome, _ = kit.run(method, problem)
        assert outcome.stop_reason == "finished"
        ends.append(kit.weights(problem.model))
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("original", "retrain")])
def test_stops_on_a_budget(kit, name, monkeypatch):
    for size in ("methods.closed_form.ridge.BATCH", "methods.engine.gradients.CHUNK"):
        monkeypatch.setattr(size, 4)  # a single batch would be the last
    method = plugins.load("methods", name)
    problem = problem_for(kit, method, limit=1.0)
    outcome, _ = kit.run(method, problem)
    assert outcome.stop_reason == "budget"
    assert problem.budget.samples <= 2.0 + 32


@pytest.mark.parametrize("name", NAMES)
def test_has_a_label_a_version_and_frozen_settings_with_defaults(name):
    method = plugins.load("methods", name)
    assert isinstance(method.label, str)
    assert method.version >= 1
    for f in fields(method):
        with pytest.raises(FrozenInstanceError):
            setattr(method, f.name, None)


@pytest.mark.parametrize("name", NAMES)
def test_header_names_its_source(name):
    header = ast.get_docstring(ast.parse(Path(inspect.getfile(plugins.plugin_class("methods", name))).read_text()))
    assert "Source:" in header


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_setting_is_refused_with_the_allowed_ones(name):
    with pytest.raises(ValueError, match=f"unknown setting of method {name}: got 'lerning_rate'.*allowed"):
        plugins.load("methods", name, lerning_rate=1.0)


@pytest.mark.parametrize("name", NAMES)
def test_a_method_that_edits_makes_no_pass_and_others_do(kit, name):
    method = plugins.load("methods", name)
    made = list(method.passes(problem_for(kit, method)))
    assert (
        name in ("original", "lotus") or bool(made) != method.edits_weights
    )  # LoTUS finds nothing left to forget here


@pytest.mark.parametrize("name", [name for name in NAMES if not plugins.plugin_class("methods", name).edits_weights])
def test_superloss_can_be_applied(kit, name):
    from methods.modifiers.superloss import SuperLoss

    method = plugins.load("methods", name)
    problem = problem_for(kit, method)
    outcome, _ = kit.run(method, problem, superloss=SuperLoss())
    assert outcome.stop_reason == "finished"
