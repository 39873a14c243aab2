"""Set the precision of arithmetic for the whole process: TF32, and kernels that are reproducible bit for bit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch


def set_arithmetic(loop: Mapping[str, Any], device: torch.device) -> None:
    """Set what a trial's `loop` requires; a reused process sets it for each trial.

    With bf16 on a GPU, operations that stay in fp32 (mostly evaluation) may use TF32. With `precision: fp32`, neither
    matrix products nor cuDNN's convolutions and recurrent layers use it.
    """
    deterministic = bool(loop.get("deterministic"))
    if device.type == "cuda":
        rounds = uses_tf32(loop, device)
        torch.set_float32_matmul_precision("high" if rounds else "highest")
        torch.backends.cudnn.allow_tf32 = rounds
        torch.backends.cudnn.deterministic = deterministic
        if deterministic:  # cuBLAS reads it when it starts, PyTorch at each product
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)


def uses_tf32(loop: Mapping[str, Any], device: torch.device) -> bool:
    """Return whether fp32 products on this device use TF32, which keeps 10 bits of each factor's mantissa."""
    return device.type == "cuda" and loop["precision"] == "bf16"
