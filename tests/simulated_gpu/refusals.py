"""Operations that CUDA refuses: on tensors of two devices, with a generator of the host, or without determinism.

The functions are called for each operation of PyTorch's dispatcher, before it runs.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from simulated_gpu.counted_waits import WrongDevice
from torch.utils._pytree import tree_leaves

COPIES = {"copy_", "_to_copy"}  # the second changes types here; `Tensor.to` between devices is the mode's
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index_put"}
TAKES_HOST_SCALARS = {"where", "masked_fill", "masked_fill_", "fill_", "fill", "addcmul", "addcmul_", "lerp"}
UNDETERMINED = {"kthvalue", "histc", "bincount", "put_", "_ctc_loss", "median", "cumsum"}
PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "mv", "dot", "addmv"}
WORKSPACES = (":4096:8", ":16:8")


def is_on_device(value: Any) -> bool:
    """Return whether a value is a tensor of the simulated device, whose memory is its `held`."""
    return hasattr(value, "held")


def refuse(name: str, func: Any, args: Any, kwargs: Any) -> None:
    leaves = tree_leaves((args, kwargs))
    if any(isinstance(g, torch.Generator) and g.device.type == "cpu" for g in leaves):
        raise WrongDevice(f"{func}: Expected a 'cuda' device type for generator but found 'cpu'")
    here = [t for t in leaves if isinstance(t, torch.Tensor) and not is_on_device(t)]
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
    if not is_on_device(args[0]) and any(is_on_device(t) for t in places):
        raise WrongDevice(f"{func}: indices should be either on cpu or on the same device as the indexed tensor (cpu)")
    values = args[2] if len(args) > 2 else args[0]
    fills = is_on_device(args[0]) and values.dim() == 0
    if is_on_device(args[0]) != is_on_device(values) and not fills:
        raise WrongDevice(f"{func}: expected all tensors to be on the same device, but found values on another one")
