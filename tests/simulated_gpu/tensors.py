"""Tensors of the simulated device: host memory behind a wrapper that refuses what CUDA refuses and notes waits."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from simulated_gpu.counted_waits import in_use
from simulated_gpu.refusals import INDEXING, refuse
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_map_only

CUDA = torch.device("cuda:0")
HOST = torch.device("cpu")

READS = {
    "_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique_consecutive", "_unique2",
    "unique_dim", "bincount", "repeat_interleave", "_linalg_check_errors",
}  # fmt: skip


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
        in_use().wait("printed")
        return f"OnDevice({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func._schema.name.partition("::")[2]
        refuse(name, func, args, kwargs)
        _note_waits(name, args, kwargs)
        inner_args, inner_kwargs = tree_map_only(OnDevice, lambda t: t.held, (args, kwargs))
        to_host = name == "copy_" and not isinstance(args[0], OnDevice)
        if inner_kwargs.get("device") is not None:
            inner_kwargs["device"] = HOST
        own = in_use().own_draws() if torch.Tag.nondeterministic_seeded in func.tags else contextlib.nullcontext()
        with own:
            out = func(*inner_args, **inner_kwargs)
        in_use().queued = name not in READS and (in_use().queued or not (to_host or func.is_view))
        if to_host:
            return args[0]
        out = tree_map_only(torch.Tensor, lambda t: t if isinstance(t, OnDevice) else OnDevice(t), out)
        if func._schema.is_mutable or any(r.alias_info for r in func._schema.returns):
            try:
                return return_and_correct_aliasing(func, args, kwargs, out)
            except RuntimeError:  # of several outputs, or of a list: the memory is shared all the same
                return args[0] if func._schema.is_mutable and len(func._schema.returns) == 1 else out
        return out


def _note_waits(name: str, args: Any, kwargs: Any) -> None:
    if name in READS:
        in_use().wait(name.strip("_"))
    elif name in INDEXING and isinstance(args[0], OnDevice):
        places = [t for t in args[1] if t is not None]
        fills = len(args) > 2 and args[2].numel() == 1  # done as a masked fill
        if any(t.dtype in (torch.bool, torch.uint8) for t in places) and not fills:
            in_use().wait("index by a mask")
        elif any(not isinstance(t, OnDevice) for t in places):
            in_use().wait("index from the host", always=True)
    elif name == "copy_" and isinstance(args[0], OnDevice) != isinstance(args[1], OnDevice):
        note_copy(args[1], args[0], bool(args[2]) if len(args) > 2 else bool(kwargs.get("non_blocking")))


def note_copy(source: torch.Tensor, target: torch.Tensor | None, non_blocking: bool) -> None:
    host = target if isinstance(source, OnDevice) else source
    if not (non_blocking and host is not None and is_pinned(host)):
        to_host = isinstance(source, OnDevice)
        in_use().wait("copy to the host" if to_host else "copy from the host", always=not to_host)


def is_pinned(tensor: torch.Tensor) -> bool:
    return bool(getattr(tensor, "_pinned", False))
