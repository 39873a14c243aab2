"""A trial's `precision` and `deterministic` are set for its process."""

from __future__ import annotations

import pytest
import torch

from orchestrator.run.setup.arithmetic import set_arithmetic, uses_tf32

CUDA, HOST = torch.device("cuda"), torch.device("cpu")


@pytest.fixture(autouse=True)
def _restore(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]
    torch.backends.cudnn.deterministic = False
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(("precision", "rounds"), [("fp32", False), ("bf16", True)])
def test_only_bf16_lets_products_and_convolutions_use_tf32(precision, rounds):
    set_arithmetic({"precision": "fp32" if rounds else "bf16"}, CUDA)  # a trial of another kind in this process
    set_arithmetic({"precision": precision}, CUDA)
    assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32 == rounds
    assert uses_tf32({"precision": precision}, CUDA) == rounds
    assert not uses_tf32({"precision": precision}, HOST)


def test_deterministic_applies_only_to_trials_that_set_it(monkeypatch):
    import os

    set_arithmetic({"precision": "fp32", "deterministic": True}, CUDA)
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.deterministic
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    set_arithmetic({"precision": "fp32"}, HOST)
    assert not torch.are_deterministic_algorithms_enabled()
