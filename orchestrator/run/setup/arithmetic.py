"""How exact a trial's arithmetic is, for the whole process: TF32, and kernels that repeat bit for bit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch


def set_arithmetic(loop: Mapping[str, Any], device: torch.device) -> None:
    """Set what the trial's `loop` asks for; a warm process sets it anew for each trial.

    On a GPU what stays fp32 under bf16, evaluation above all, may use TF32; with `precision: fp32` neither matrix
    products nor cuDNN's convolutions and recurrent layers do.
    """
    deterministic = bool(loop.get("deterministic"))
    if device.type == "cuda":
        rounds = uses_tf32(loop, device)
        torch.set_float32_matmul_precision("high" if rounds else "highest")
        torch.backends.cudnn.allow_tf32 = rounds
        torch.backends.cudnn.deterministic = deterministic
        if deterministic:  # read by cuBLAS when it starts, and by PyTorch at each product
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)


def uses_tf32(loop: Mapping[str, Any], device: torch.device) -> bool:
    """Return whether fp32 products on this device keep 10 bits of their factors."""
    return device.type == "cuda" and loop["precision"] == "bf16"
