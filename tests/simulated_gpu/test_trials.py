"""Whole trials on the simulated device: training, unlearning, evaluation and every test of the model."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
import torch
from simulated_gpu.device import simulated_gpu
from simulated_gpu.problems import make_problem, run, small

from methods.engine import batches
from methods.engine.budget import BudgetMeter
from orchestrator import load_sweep, read_rows, run_sweep

TESTS = (
    "evidence={probe: true, zrf: true, attribution: {utterances: 4, steps: 2}, "
    "relearning: {forgotten: [0, 2], epochs: 1, retain_limit: 32}}"
)


def ran(sweep, folder, cache_dir, *overrides):
    """Rows of the sweep on the device."""
    with simulated_gpu():
        run_sweep(load_sweep(sweep, list(overrides)), folder, executor="local", cache_dir=cache_dir)
    rows = read_rows(folder)
    assert set(rows["status"]) == {"done"}, rows["error"].tolist()
    assert set(rows["device"]) == {"Simulated GPU"}
    return rows


def test_a_trial_and_its_tests_run_on_a_gpu(small_sweep, cache_dir, tmp_path):
    ran(small_sweep, tmp_path / "r", cache_dir, TESTS, "methods=[npo]", "unlearning=[{kind: class}]", "precision=bf16")
    (file,) = [f for f in (tmp_path / "r" / "evidence").glob("*.parquet") if "attribution" not in f.name]
    found = pq.read_table(file).to_pandas()
    assert set(found["test"]) >= {"probe", "zrf", "attribution", "relearning"}
    assert "failed" not in set(found["measure"])


@pytest.mark.parametrize("crop", ["none", "random"])
def test_a_trial_on_a_gpu_measures_what_one_on_the_host_does(small_sweep, cache_dir, tmp_path, monkeypatch, crop):
    ahead, real = [], batches.one_ahead
    monkeypatch.setattr(batches, "one_ahead", lambda items: (ahead.append(1), real(items))[1])
    said = ["methods=[{name: neg_grad_plus, learning_rate: 1.0e-3}]", "training.epochs=1"]
    said += ["training.crop=random", "training.clip_seconds=0.5"] if crop == "random" else []
    there = ran(small_sweep, tmp_path / "gpu", cache_dir, *said)
    assert bool(ahead) == (crop == "random")  # all other features are on the device
    run_sweep(load_sweep(small_sweep, said), tmp_path / "host", executor="local", cache_dir=cache_dir)
    here = read_rows(tmp_path / "host")
    assert here["trial_id"].tolist() == there["trial_id"].tolist()
    for column in ("test_loss", "forget_loss", "samples", "steps"):
        assert there[column].tolist() == pytest.approx(here[column].tolist(), rel=1e-4, nan_ok=True), column


@pytest.mark.slow
@pytest.mark.parametrize("name", ["whisper_nano", "wav2vec2_nano", "hubert_nano", "logmel_gru", "logmel_cnn"])
@pytest.mark.parametrize(
    "training",
    [
        "training={epochs: 1, learning_rate: 1.0e-3, batch_size: 64}",
        "training={epochs: 1, learning_rate: 1.0e-3, batch_size: 64, crop: random, clip_seconds: 0.4}",
    ],
    ids=["cached", "random crops"],
)
def test_every_family_runs_on_a_gpu(small_sweep, cache_dir, tmp_path, name, training):
    ran(
        small_sweep, tmp_path / "r", cache_dir, f"backbones=[{name}]", training,
        "methods=[npo, salun]", "precision=bf16", "micro_batch=8", TESTS,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["salun", "msg", "npo", "unheard", "fine_tune"])
def test_deterministic_algorithms_are_enough_for_a_method(name):
    from orchestrator.run.setup.arithmetic import set_arithmetic

    try:
        with simulated_gpu():
            set_arithmetic({"precision": "fp32", "deterministic": True}, torch.device("cuda"))
            run(small(name), make_problem("cuda"))
    finally:
        set_arithmetic({"precision": "fp32"}, torch.device("cpu"))


def test_the_first_kernels_run_off_the_clock_and_change_nothing(monkeypatch):
    order = []
    real = BudgetMeter.evaluating, BudgetMeter.charging

    def evaluating(self):
        order.append("apart")
        return real[0](self)

    def charging(self, examples=0):
        if examples:
            order.append("charged")
        return real[1](self, examples)

    monkeypatch.setattr(BudgetMeter, "evaluating", evaluating)
    monkeypatch.setattr(BudgetMeter, "charging", charging)
    with simulated_gpu():
        problem = make_problem("cuda")
        problem.model.stem.dropout.p = 0.5
        there, here = torch.cuda.get_rng_state(), torch.get_rng_state()
        problem.warm_up(next(problem.retain.batches(4)), backward=True)
        assert torch.equal(torch.cuda.get_rng_state(), there)
        assert torch.equal(torch.get_rng_state(), here)
        assert all(p.grad is None for p in problem.model.parameters())
        problem.warm_up(next(problem.retain.batches(4)), backward=True)
        assert order == ["apart"]  # once
        order.clear()
        run(small("fine_tune"), make_problem("cuda"))
    assert order[:3] == ["apart", "charged", "charged"]
    order.clear()
    run(small("fine_tune"), make_problem("cpu"))
    assert order[:2] == ["charged", "charged"]
