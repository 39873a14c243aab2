"""Copies between the host and the simulated device, which autograd follows in both directions."""

from __future__ import annotations

from typing import Any

import torch
from simulated_gpu.counted_waits import in_use
from simulated_gpu.tensors import CUDA, HOST, OnDevice, note_copy


class _ToHost(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: OnDevice) -> torch.Tensor:
        return x.held.clone()

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        return OnDevice(g)


class _ToDevice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return OnDevice(x.clone())

    @staticmethod
    def backward(ctx: Any, g: Any) -> torch.Tensor:
        return g.held


def is_cuda(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


def moved(x: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
    """`Tensor.to` between the host and the device."""
    device, dtype = named.get("device"), named.get("dtype")
    for value in given:
        if isinstance(value, torch.dtype):
            dtype = value
        elif isinstance(value, torch.Tensor):
            dtype, device = value.dtype, CUDA if isinstance(value, OnDevice) else HOST
        elif isinstance(value, torch.device | str) or (isinstance(value, int) and not isinstance(value, bool)):
            device = torch.device(value)
    non_blocking = bool(named.get("non_blocking"))
    was = x
    if device is not None and torch.device(device).type == "meta":
        return x.to("meta")
    if is_cuda(device) and not isinstance(x, OnDevice):
        note_copy(x, None, non_blocking)
        x = _ToDevice.apply(x) if x.requires_grad and torch.is_grad_enabled() else OnDevice(x.detach().clone())
        in_use().queued = in_use().queued or non_blocking
    elif device is not None and not is_cuda(device) and isinstance(x, OnDevice):
        in_use().wait("copy to the host")
        x = _ToHost.apply(x) if x.requires_grad and torch.is_grad_enabled() else x.held.detach().clone()
    if dtype is not None and dtype != x.dtype:
        return torch.Tensor.to(x, dtype)
    return x.clone() if named.get("copy") and x is was else x
