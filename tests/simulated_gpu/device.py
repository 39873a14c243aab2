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
import linecache
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils import clip_grad
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

ROOT = f"{Path(__file__).parents[2]}/"
FOLDERS = tuple(ROOT + folder for folder in ("methods/", "backbones/", "orchestrator/"))
CUDA = torch.device("cuda:0")
HOST = torch.device("cpu")
GIB = 2**30
aten = torch.ops.aten

READS = {
    "_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique_consecutive", "_unique2",
    "unique_dim", "bincount", "repeat_interleave", "_linalg_check_errors",
}  # fmt: skip
COPIES = {"copy_", "_to_copy"}  # the second changes types here; `Tensor.to` between devices is the mode's
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index_put"}
TAKES_HOST_SCALARS = {"where", "masked_fill", "masked_fill_", "fill_", "fill", "addcmul", "addcmul_", "lerp"}
UNDETERMINED = {"kthvalue", "histc", "bincount", "put_", "_ctc_loss", "median", "cumsum"}
PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "mv", "dot", "addmv"}
WORKSPACES = (":4096:8", ":16:8")


class WrongDevice(RuntimeError):
    """What CUDA would refuse."""


@dataclass
class SimulatedGpu:
    """What the device saw; times are not simulated."""

    waits: Counter[str] = field(default_factory=Counter)  # of the thread that steps, by kind
    where: Counter[str] = field(default_factory=Counter)  # the same, by the line of this project
    waits_ahead: Counter[str] = field(default_factory=Counter)  # of other threads
    queued: bool = False  # whether there is work that the host has not waited for
    memory_bytes: tuple[int, int] = (20 * GIB, 24 * GIB)  # free, total
    thread: threading.Thread = field(default_factory=threading.main_thread)
    draws: torch.Tensor = field(default_factory=lambda: torch.Generator().manual_seed(0).get_state())

    def wait(self, kind: str, *, always: bool = False) -> None:
        """The host stops here; on an idle device it does not, unless it is for a copy of its own."""
        if not (self.queued or always):
            return
        self.queued = False
        if threading.current_thread() is not self.thread:
            self.waits_ahead[kind] += 1
            return
        self.waits[kind] += 1
        self.where[f"{kind}: {_line()}"] += 1

    @property
    def total(self) -> int:
        """Waits so far."""
        return sum(self.waits.values())

    @contextlib.contextmanager
    def own_draws(self) -> Iterator[None]:
        """Within, random numbers come from the device's generator."""
        host = torch.get_rng_state()
        torch.set_rng_state(self.draws)
        try:
            yield
        finally:
            self.draws = torch.get_rng_state()
            torch.set_rng_state(host)


def _line() -> str:
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(FOLDERS):
            return f"{name.removeprefix(ROOT)}:{frame.f_lineno} {linecache.getline(name, frame.f_lineno).strip()}"
        frame = frame.f_back
    return "outside this project"


_GPU = SimulatedGpu()  # the one in use; tensors outlive their context


class OnDevice(torch.Tensor):
    """A tensor of the device; `held` is its memory."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, held: torch.Tensor, requires_grad: bool = False) -> OnDevice:
        made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            layout=held.layout, device=HOST, requires_grad=requires_grad,
        )  # fmt: skip
        made.held = held
        return made

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner: Any, meta: Any, size: Any, stride: Any) -> OnDevice:
        return OnDevice(inner["held"])

    def __repr__(self, **named: Any) -> str:
        _GPU.wait("printed")
        return f"OnDevice({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func._schema.name.partition("::")[2]
        _refuse(name, func, args, kwargs)
        _note_waits(name, args, kwargs)
        inner_args, inner_kwargs = tree_map_only(OnDevice, lambda t: t.held, (args, kwargs))
        to_host = name == "copy_" and not isinstance(args[0], OnDevice)
        if inner_kwargs.get("device") is not None:
            inner_kwargs["device"] = HOST
        own = _GPU.own_draws() if torch.Tag.nondeterministic_seeded in func.tags else contextlib.nullcontext()
        with own:
            out = func(*inner_args, **inner_kwargs)
        _GPU.queued = name not in READS and (_GPU.queued or not (to_host or func.is_view))
        if to_host:
            return args[0]
        out = tree_map_only(torch.Tensor, lambda t: t if isinstance(t, OnDevice) else OnDevice(t), out)
        if func._schema.is_mutable or any(r.alias_info for r in func._schema.returns):
            try:
                return return_and_correct_aliasing(func, args, kwargs, out)
            except RuntimeError:  # of several outputs, or of a list: the memory is shared all the same
                return args[0] if func._schema.is_mutable and len(func._schema.returns) == 1 else out
        return out


def _refuse(name: str, func: Any, args: Any, kwargs: Any) -> None:
    leaves = tree_leaves((args, kwargs))
    if any(isinstance(g, torch.Generator) and g.device.type == "cpu" for g in leaves):
        raise WrongDevice(f"{func}: Expected a 'cuda' device type for generator but found 'cpu'")
    here = [t for t in leaves if isinstance(t, torch.Tensor) and not isinstance(t, OnDevice)]
    if name in INDEXING:
        _refuse_index(func, args)
    elif name not in COPIES:
        scalars = torch.Tag.pointwise in func.tags or name in TAKES_HOST_SCALARS or name.startswith("_foreach")
        in_place = func._schema.is_mutable and args and isinstance(args[0], torch.Tensor)
        bad = [t for t in here if t.dim() > 0 or not scalars or (in_place and t is args[0])]
        if bad:
            shapes = ", ".join(str(tuple(t.shape)) for t in bad)
            raise WrongDevice(
                f"{func}: Expected all tensors to be on the same device, but found at least two devices, cuda:0 and "
                f"cpu! (on the host: {shapes})"
            )
    if torch.are_deterministic_algorithms_enabled():
        of_floats = any(isinstance(t, torch.Tensor) and t.is_floating_point() for t in leaves)
        if name in UNDETERMINED and of_floats:
            raise RuntimeError(
                f"{name} does not have a deterministic implementation, but you set "
                "'torch.use_deterministic_algorithms(True)'"
            )
        if name in PRODUCTS and os.environ.get("CUBLAS_WORKSPACE_CONFIG") not in WORKSPACES:
            raise RuntimeError("Deterministic behavior was enabled, but CUBLAS_WORKSPACE_CONFIG is not set")


def _refuse_index(func: Any, args: Any) -> None:
    places = [t for t in args[1] if t is not None]
    if not isinstance(args[0], OnDevice) and any(isinstance(t, OnDevice) for t in places):
        raise WrongDevice(f"{func}: indices should be either on cpu or on the same device as the indexed tensor (cpu)")
    values = args[2] if len(args) > 2 else args[0]
    fills = isinstance(args[0], OnDevice) and values.dim() == 0
    if isinstance(args[0], OnDevice) != isinstance(values, OnDevice) and not fills:
        raise WrongDevice(f"{func}: expected all tensors to be on the same device, but found values on another one")


def _note_waits(name: str, args: Any, kwargs: Any) -> None:
    if name in READS:
        _GPU.wait(name.strip("_"))
    elif name in INDEXING and isinstance(args[0], OnDevice):
        places = [t for t in args[1] if t is not None]
        fills = len(args) > 2 and args[2].numel() == 1  # done as a masked fill
        if any(t.dtype in (torch.bool, torch.uint8) for t in places) and not fills:
            _GPU.wait("index by a mask")
        elif any(not isinstance(t, OnDevice) for t in places):
            _GPU.wait("index from the host", always=True)
    elif name == "copy_" and isinstance(args[0], OnDevice) != isinstance(args[1], OnDevice):
        _note_copy(args[1], args[0], bool(args[2]) if len(args) > 2 else bool(kwargs.get("non_blocking")))


def _note_copy(source: torch.Tensor, target: torch.Tensor | None, non_blocking: bool) -> None:
    host = target if isinstance(source, OnDevice) else source
    if not (non_blocking and host is not None and _is_pinned(host)):
        to_host = isinstance(source, OnDevice)
        _GPU.wait("copy to the host" if to_host else "copy from the host", always=not to_host)


def _is_pinned(tensor: torch.Tensor) -> bool:
    return bool(getattr(tensor, "_pinned", False))


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


def _is_cuda(device: Any) -> bool:
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
    if _is_cuda(device) and not isinstance(x, OnDevice):
        _note_copy(x, None, non_blocking)
        x = _ToDevice.apply(x) if x.requires_grad and torch.is_grad_enabled() else OnDevice(x.detach().clone())
        _GPU.queued = _GPU.queued or non_blocking
    elif device is not None and not _is_cuda(device) and isinstance(x, OnDevice):
        _GPU.wait("copy to the host")
        x = _ToHost.apply(x) if x.requires_grad and torch.is_grad_enabled() else x.held.detach().clone()
    if dtype is not None and dtype != x.dtype:
        return torch.Tensor.to(x, dtype)
    return x.clone() if named.get("copy") and x is was else x


_TENSOR = torch.Tensor
_DEVICE, _IS_CUDA, _IS_CPU = _TENSOR.device.__get__, _TENSOR.is_cuda.__get__, _TENSOR.is_cpu.__get__  # type: ignore[attr-defined]


class _Mode(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        first = args[0] if args else None
        on_device = isinstance(first, OnDevice)
        if func == _DEVICE:
            return CUDA if on_device else func(*args)
        if func in (_IS_CUDA, _IS_CPU):
            return on_device == (func == _IS_CUDA)
        if func is _TENSOR.get_device:
            return 0 if on_device else -1
        if func is _TENSOR.is_pinned:
            return _is_pinned(args[0])
        if func is _TENSOR.pin_memory:
            if on_device:
                raise WrongDevice("cannot pin 'torch.cuda.FloatTensor': only dense CPU tensors can be pinned")
            pinned = args[0].clone()
            pinned._pinned = True
            return pinned
        if func is _TENSOR.to:
            return moved(*args, **kwargs)
        if func is _TENSOR.cuda:
            return moved(args[0], CUDA, **kwargs)
        if func is _TENSOR.cpu:
            return moved(args[0], HOST)
        if on_device and func in (_TENSOR.numpy, _TENSOR.__array__):
            raise WrongDevice(
                "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory "
                "first."
            )
        if on_device and func is _TENSOR.untyped_storage:  # `data_ptr` stays 0: recurrent layers take it for cuDNN's
            return func(args[0].held)
        if on_device and func is _TENSOR.tolist:
            _GPU.wait("tolist")
            return args[0].held.tolist()
        if on_device and func in (torch.nn.functional.one_hot, getattr(torch._C._nn, "one_hot", None)):
            return OnDevice(func(args[0].held, *args[1:], **kwargs))  # CUDA does not look at the values
        if on_device and func is _TENSOR.new_tensor:
            _GPU.wait("copy from the host", always=True)
            return OnDevice(args[0].held.new_tensor(*args[1:], **kwargs))
        if func in (torch.as_tensor, torch.asarray) and on_device and kwargs.get("device") is None:
            return args[0]
        if _is_cuda(kwargs.get("device")):
            return self._made(func, args, kwargs)
        return func(*args, **kwargs)

    def _made(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """A factory: `torch.zeros(..., device="cuda")`."""
        generator = kwargs.get("generator")
        if generator is not None and generator.device.type == "cpu":
            raise WrongDevice(f"{func}: Expected a 'cuda' device type for generator but found 'cpu'")
        kwargs["device"] = HOST
        requires_grad = kwargs.pop("requires_grad", False)
        args, kwargs = tree_map_only(OnDevice, lambda t: t.held, (args, kwargs))
        with _GPU.own_draws():
            out = OnDevice(func(*args, **kwargs))
        if func in (torch.tensor, torch.as_tensor, torch.asarray):
            _GPU.wait("copy from the host", always=True)
        _GPU.queued = True
        return out.requires_grad_() if requires_grad else out


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
    global _GPU
    import methods.base

    gpu = SimulatedGpu(thread=threading.current_thread())
    before, _GPU = _GPU, gpu
    functions, one_ahead, autocast = _cuda_functions(gpu), methods.base.one_ahead, torch.autocast
    grouped, engine = clip_grad._group_tensors_by_device_and_dtype, torch.autograd._engine_run_backward

    def run_backward(*given: Any, **named: Any) -> Any:  # hooks of tensors run within
        with _Mode():
            return engine(*given, **named)

    def grouped_here(tensors: Any, *given: Any) -> Any:  # C++ groups by the device that it sees
        where = tensors[0][0].device if tensors[0] else HOST
        return {(where, kind): found for (_, kind), found in grouped(tensors, *given).items()}

    real = {name: getattr(torch.cuda, name) for name in functions}

    def in_the_mode(items: Iterator[Any]) -> Iterator[Any]:  # modes belong to a thread
        end = object()
        while True:
            with _Mode():
                item = next(items, end)
            if item is end:
                return
            yield item

    for name, function in functions.items():
        setattr(torch.cuda, name, function)
    torch.autocast = _Autocast  # type: ignore[misc]
    clip_grad._group_tensors_by_device_and_dtype = grouped_here
    torch.autograd._engine_run_backward = run_backward
    methods.base.one_ahead = lambda items: one_ahead(in_the_mode(items))
    try:
        with _Mode():
            yield gpu
    finally:
        for name, function in real.items():
            setattr(torch.cuda, name, function)
        torch.autocast = autocast  # type: ignore[misc]
        clip_grad._group_tensors_by_device_and_dtype = grouped
        torch.autograd._engine_run_backward = engine
        methods.base.one_ahead = one_ahead
        _GPU = before
