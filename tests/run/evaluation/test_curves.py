"""A curve shows what a trial did after each epoch, and changes nothing about the trial."""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from methods.engine.records import Progress
from orchestrator import load_sweep, plan_sweep, read_rows, run_sweep
from orchestrator.results.curves import PARTS, read_curve, read_curves
from orchestrator.results.store import open_store
from orchestrator.run.evaluation.curves import Curve
from orchestrator.run.setup.context import WorkerContext
from orchestrator.run.setup.problem import make_problem, split_corpus

MEASURED = ("seconds", "_at", "memory", "driver_token", "budget_used")  # parts of the names of columns that vary


@pytest.fixture(scope="module")
def finished(finished_small):
    return load_sweep(finished_small / "small.yaml"), open_store(finished_small / "r")


@pytest.fixture(scope="module")
def without(finished_small, cache_dir, tmp_path_factory):
    """The small sweep, run without curves."""
    folder = tmp_path_factory.mktemp("without")
    run_sweep(
        load_sweep(finished_small / "small.yaml", ["curves.points=0"]), folder, executor="local", cache_dir=cache_dir
    )
    return open_store(folder)


def test_curves_are_in_no_id(finished, without):
    assert set(without.rows()["trial_id"]) == set(finished[1].rows()["trial_id"])
    assert without.curves.ids() == set()


def test_rows_are_the_same_with_and_without_curves(finished, without):
    with_curves, plain = read_rows(finished[1].files.local_path), read_rows(without.files.local_path)
    same = [name for name in plain.columns if not any(part in name for part in MEASURED)]
    assert len(same) > 80
    for name in same:
        assert with_curves[name].equals(plain[name]), name


def test_models_and_outputs_are_the_same_bits_with_and_without_curves(finished, without):
    for shelf in ("models", "outputs"):
        ids = getattr(without, shelf).ids()
        assert ids
        for trial_id in ids:
            name = getattr(without, shelf).path(trial_id)
            assert without.files.read_bytes(name) == finished[1].files.read_bytes(name)


def test_every_trial_that_changes_a_model_has_a_curve_that_ends_in_its_row(finished):
    loaded, store = finished
    rows = store.rows().set_index("trial_id")
    specs = [spec for spec in plan_sweep(loaded).grid.trials if not spec.reports_original]
    assert store.curves.ids() == {spec.trial_id for spec in specs}
    for spec in specs:
        points, row = read_curve(store, spec.trial_id), rows.loc[spec.trial_id]
        kinds = [point["point"] for point in points]
        assert kinds[-1] == "end"
        assert ("start" in kinds) == spec.policy.unlearns
        assert "epoch" in kinds
        assert (points[-1]["samples"], points[-1]["steps"]) == (row["samples"], row["steps"])
        assert points[-1]["seconds"] == row["optimization_seconds"]
        charged = [point["samples"] for point in points]
        assert charged == sorted(charged)
        for part in PARTS:
            whole = points[-1][f"{part}_utterances"] == row[f"num_{part}"]
            if whole and row[f"num_{part}"] and part != "validation":
                assert points[-1][f"{part}_accuracy"] == pytest.approx(row[f"{part}_accuracy"])
                assert points[-1][f"{part}_loss"] == pytest.approx(row[f"{part}_loss"], rel=1e-5)


def test_an_original_has_no_forget_set_in_its_curve(finished):
    loaded, store = finished
    (original,) = (spec for spec in plan_sweep(loaded).grid.trials if spec.stage == "train")
    curve = read_curves(store, [original.trial_id])
    assert curve["forget_accuracy"].isna().all()
    assert curve["validation_accuracy"].notna().all()
    assert (curve["retain_utterances"] <= 100).all()


@pytest.fixture
def unlearning(finished, begun, cache_dir):
    """A trial that is ready to run, and its curve of at most four points."""
    loaded, store = finished[0], open_store(begun)
    (spec,) = (spec for spec in plan_sweep(loaded).grid.trials if spec.method.name == "scrub")
    spec = spec.but(curves={"points": 4, "utterances": 12})
    context = WorkerContext(store, cache_dir, device=torch.device("cpu"))
    corpus, features = context.corpus(spec.task), context.features(spec)
    split = split_corpus(context, spec, corpus)
    from methods.base import Training
    from orchestrator.run.setup.problem import budget_meter

    training = Training(learning_rate=1e-3, epochs=2, batch_size=16)
    budget = budget_meter(spec, split, training, context)[0]
    problem = make_problem(spec, context, corpus, features, split, training, budget)

    def curve(**changes) -> Curve | None:
        return Curve.of(spec.but(**changes), store, corpus, split, features, problem)

    return SimpleNamespace(curve=curve, problem=problem, spec=spec)


def progress(epoch: int, name: str = "pass") -> Progress:
    return Progress(name, epoch, 100, epoch + 1, 0.5, 0.1)


def test_measuring_changes_no_random_state_no_mode_and_no_charge(unlearning):
    curve, problem = unlearning.curve(), unlearning.problem
    problem.model.train()
    frozen = next(
        module
        for module in problem.model.modules()
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.Conv1d | torch.nn.Linear)
    )
    frozen.eval()

    def states():
        return (
            random.getstate(),
            np.random.get_state()[1].tolist(),
            torch.get_rng_state().tolist(),
            problem.generator.get_state().tolist(),
            [module.training for module in problem.model.modules()],
            {name: value.tolist() for name, value in problem.model.state_dict().items()},
            (problem.budget.samples, problem.budget.seconds),
        )

    before = states()
    curve.start()
    curve.after(progress(0))
    assert [point["point"] for point in curve.points] == ["start", "epoch"]
    assert states() == before
    assert problem.budget.evaluation_seconds > 0


def test_a_measurement_that_does_not_fit_into_memory_is_left_out_and_restores_the_mode(unlearning, monkeypatch):
    def fails(*_):
        raise torch.OutOfMemoryError("CUDA out of memory (simulated)")

    curve, problem = unlearning.curve(), unlearning.problem
    problem.model.train()
    monkeypatch.setattr(problem, "score", fails)
    curve.after(progress(0))
    assert "forget_accuracy" not in curve.points[0]
    assert problem.model.training


def test_a_long_trial_keeps_few_points_evenly_spaced_and_measures_few_more(unlearning, monkeypatch):
    curve, calls = unlearning.curve(), []
    monkeypatch.setattr(curve, "_measured", lambda: calls.append(1) or {})
    for epoch in range(100):
        curve.after(progress(epoch % 10))
    epochs = [point["epoch"] for point in curve.points]
    assert len(epochs) <= 4
    assert len({b - a for a, b in itertools.pairwise(epochs)}) == 1
    assert epochs[-1] > 60
    assert len(calls) < 20


def test_a_training_that_resumes_keeps_the_points_before(unlearning, finished):
    (original,) = (spec for spec in plan_sweep(finished[0]).grid.trials if spec.stage == "train")
    curve = unlearning.curve()
    curve.spec = original  # whose file has epochs 1 and 2
    curve.after(progress(1))
    assert [point["epoch"] for point in curve.points] == [1, 2]


def test_a_search_and_the_line_of_original_have_no_curve(unlearning):
    assert unlearning.curve(stage="tune") is None
    assert unlearning.curve(curves={"points": 0, "utterances": 12}) is None
    assert unlearning.curve(curves=None) is None
    assert unlearning.curve() is not None
