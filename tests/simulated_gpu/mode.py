"""The mode in which Python sees the simulated device: attributes, copies, factories and refused calls of tensors."""

from __future__ import annotations

from typing import Any

import torch
from simulated_gpu.copies import is_cuda, moved
from simulated_gpu.counted_waits import WrongDevice, in_use
from simulated_gpu.tensors import CUDA, HOST, OnDevice, is_pinned
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

_TENSOR = torch.Tensor
_DEVICE, _IS_CUDA, _IS_CPU = _TENSOR.device.__get__, _TENSOR.is_cuda.__get__, _TENSOR.is_cpu.__get__  # type: ignore[attr-defined]


class DeviceMode(TorchFunctionMode):
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
            return is_pinned(args[0])
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
            in_use().wait("tolist")
            return args[0].held.tolist()
        if on_device and func in (torch.nn.functional.one_hot, getattr(torch._C._nn, "one_hot", None)):
            return OnDevice(func(args[0].held, *args[1:], **kwargs))  # CUDA does not look at the values
        if on_device and func is _TENSOR.new_tensor:
            in_use().wait("copy from the host", always=True)
            return OnDevice(args[0].held.new_tensor(*args[1:], **kwargs))
        if func in (torch.as_tensor, torch.asarray) and on_device and kwargs.get("device") is None:
            return args[0]
        if is_cuda(kwargs.get("device")):
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
        with in_use().own_draws():
            out = OnDevice(func(*args, **kwargs))
        if func in (torch.tensor, torch.as_tensor, torch.asarray):
            in_use().wait("copy from the host", always=True)
        in_use().queued = True
        return out.requires_grad_() if requires_grad else out
