"""Every method runs on the simulated device, waits for it at most twice a step, and gives the weights of the host."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulated_gpu.device import simulated_gpu
from simulated_gpu.problems import READING, make_problem, run, small, weights

from methods.modifiers.curriculum import ForgetCurriculum
from methods.modifiers.lora import Lora
from methods.modifiers.superloss import MUBENCH, SuperLoss
from orchestrator import plugins

MOST_WAITS = 2  # a step
METHODS = plugins.names("methods")
TRAININGS = {"standard": {}, "early_checkpoints": {"keep_at": [0.5]}, "closed_form_head": {"features": 0}}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """So that a set is more than one."""
    monkeypatch.setattr("methods.engine.gradients.CHUNK", 4)
    monkeypatch.setattr("methods.influence.CHUNK", 4)


def on_device(method, kind="sample", reading="on device", **settings):
    """The weights that it ends with, and the waits of a step."""
    with simulated_gpu() as gpu:
        problem = make_problem("cuda", kind=kind, reading=reading, gpu=gpu)
        run(method, problem, **settings)
        assert all(p.is_cuda for p in problem.model.parameters())
        assert problem.budget.waits_a_step <= MOST_WAITS, gpu.where.most_common(5)
        return weights(problem)


def on_host(method, kind="sample", reading="on device", **settings):
    problem = make_problem("cpu", kind=kind, reading=reading)
    run(method, problem, **settings)
    return weights(problem)


def equal(one, other):
    return all(np.allclose(one[name], other[name], rtol=1e-5, atol=1e-7) for name in one)


@pytest.mark.parametrize(
    ("kind", "precision"),
    [
        ("sample", "fp32"),
        ("class", "bf16"),
        pytest.param("sample", "bf16", marks=pytest.mark.slow),
        pytest.param("class", "fp32", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", METHODS)
def test_a_method_runs_on_a_gpu_as_on_the_host(name, kind, precision):
    method = small(name)
    found = on_device(method, kind, precision=precision)
    if precision == "fp32" and kind == "sample" and name != "fisher_forgetting":
        assert equal(found, on_host(method, kind))


def test_every_kind_of_training_is_here():
    assert set(TRAININGS) == set(plugins.names("trainings"))


@pytest.mark.parametrize("name", TRAININGS)
def test_a_kind_of_training_runs_on_a_gpu(name):
    kind = small(name, "trainings", **TRAININGS[name])
    with simulated_gpu() as gpu:
        problem = make_problem("cuda", gpu=gpu)
        problem.artifacts_to_store, problem.training = {}, replace(problem.training, batch_size=2)
        run(kind, problem)
        assert problem.budget.waits_a_step <= MOST_WAITS, gpu.where.most_common(5)
        assert not any(value.is_cuda for value in problem.artifacts_to_store.values())


@pytest.mark.parametrize("reading", READING)
@pytest.mark.parametrize("name", ["npo", "salun"])
def test_features_may_be_read_in_any_way(name, reading):
    assert equal(on_device(small(name), reading=reading), on_host(small(name), reading=reading))


@pytest.mark.parametrize(
    "settings",
    [
        {"micro_batch": 3},
        {"micro_batch": 3, "superloss": SuperLoss()},
        {"superloss": SuperLoss()},
        {"superloss": SuperLoss(over="all", tau="global", shuffled=True)},
        {"superloss": MUBENCH},
        {"forget_curriculum": ForgetCurriculum(order="hard_first", start_share=0.5)},
        {"lora": Lora(rank=2)},
    ],
    ids=str,
)
def test_what_is_applied_to_a_method_needs_no_further_wait(settings):
    method = small("random_label")
    assert equal(on_device(method, **settings), on_host(method, **settings))
