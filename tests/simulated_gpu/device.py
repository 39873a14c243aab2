"""A CUDA device made of host memory: tensors that say `cuda:0`, refuse what CUDA refuses, and count waits.

`with simulated_gpu() as gpu:` makes `torch.device("cuda")` usable on a machine without a GPU. Python reads the device
through a `TorchFunctionMode`; C++ (the autograd engine above all) sees host tensors, so backward passes work.
`__torch_dispatch__` looks at every operation: tensors of two devices, a generator of the host for a draw on the device,
`.numpy()`, and operations without a deterministic kernel raise the errors that CUDA raises.

A wait is a point at which the host stops until the device has done its work: a value or a tensor that is read, a
copy from or to memory that is not pinned, an operation whose output size depends on values, and `synchronize` while
work is queued. A read of an idle device is none. Waits of a thread that reads ahead are counted apart.

The device has a random generator of its own, so that draws on it leave those of the host as they are.

Limits: no streams, no memory limit, and the arithmetic of the host. Autocast takes the host's list of operations.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import torch
from simulated_gpu.counted_waits import SimulatedGpu, used
from simulated_gpu.mode import DeviceMode
from simulated_gpu.tensors import HOST
from torch.nn.utils import clip_grad

from methods.engine import batches


class _Autocast(torch.autocast):
    def __init__(self, device_type: str, *given: Any, **named: Any) -> None:
        super().__init__("cpu" if device_type == "cuda" else device_type, *given, **named)


def _cuda_functions(gpu: SimulatedGpu) -> dict[str, Any]:
    def set_draws(state: torch.Tensor, device: Any = None) -> None:
        gpu.draws = state.clone()

    def seed(value: int) -> None:
        gpu.draws = torch.Generator().manual_seed(value).get_state()

    nothing = lambda *given, **named: None  # noqa: E731
    zero = lambda *given, **named: 0  # noqa: E731
    return {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": zero,
        "get_device_name": lambda device=None: "Simulated GPU",
        "get_device_capability": lambda device=None: (9, 0),
        "get_rng_state": lambda device=None: gpu.draws.clone(),
        "set_rng_state": set_draws,
        "manual_seed": seed,
        "manual_seed_all": seed,
        "synchronize": lambda device=None: gpu.wait("synchronize"),
        "mem_get_info": lambda device=None: gpu.memory_bytes,
        "memory_reserved": zero,
        "memory_allocated": zero,
        "max_memory_allocated": zero,
        "reset_peak_memory_stats": nothing,
        "set_per_process_memory_fraction": nothing,
        "empty_cache": nothing,
        "is_current_stream_capturing": lambda: False,
        "is_bf16_supported": lambda *given, **named: True,
    }


@contextlib.contextmanager
def simulated_gpu() -> Iterator[SimulatedGpu]:
    """Within, `torch.device("cuda")` is the simulated device; gives what it saw."""
    gpu = SimulatedGpu(thread=threading.current_thread())
    functions, one_ahead, autocast = _cuda_functions(gpu), batches.one_ahead, torch.autocast
    grouped, engine = clip_grad._group_tensors_by_device_and_dtype, torch.autograd._engine_run_backward

    def run_backward(*given: Any, **named: Any) -> Any:  # hooks of tensors run within
        with DeviceMode():
            return engine(*given, **named)

    def grouped_here(tensors: Any, *given: Any) -> Any:  # C++ groups by the device that it sees
        where = tensors[0][0].device if tensors[0] else HOST
        return {(where, kind): found for (_, kind), found in grouped(tensors, *given).items()}

    real = {name: getattr(torch.cuda, name) for name in functions}

    def in_the_mode(items: Iterator[Any]) -> Iterator[Any]:  # modes belong to a thread
        end = object()
        while True:
            with DeviceMode():
                item = next(items, end)
            if item is end:
                return
            yield item

    for name, function in functions.items():
        setattr(torch.cuda, name, function)
    torch.autocast = _Autocast  # type: ignore[misc]
    clip_grad._group_tensors_by_device_and_dtype = grouped_here
    torch.autograd._engine_run_backward = run_backward
    batches.one_ahead = lambda items: one_ahead(in_the_mode(items))
    try:
        with used(gpu), DeviceMode():
            yield gpu
    finally:
        for name, function in real.items():
            setattr(torch.cuda, name, function)
        torch.autocast = autocast  # type: ignore[misc]
        clip_grad._group_tensors_by_device_and_dtype = grouped
        torch.autograd._engine_run_backward = engine
        batches.one_ahead = one_ahead
