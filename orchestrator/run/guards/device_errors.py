"""What a library's error says of the device: that memory ran out, or that this process can use the device no more."""

from __future__ import annotations

import errno

import torch

OUT_OF_MEMORY = (
    "out of memory",  # CUDA's and HIP's allocators, cudaErrorMemoryAllocation, the driver, NCCL
    "ALLOC_FAILED",  # cuBLAS, cuSOLVER, cuSPARSE, cuFFT and cuDNN: CUBLAS_STATUS_ALLOC_FAILED and so on
    "ALLOCATION_FAILED",  # cuDNN 9 (..._HOST_ALLOCATION_FAILED, ..._DEVICE_ALLOCATION_FAILED), cuRAND
    "INSUFFICIENT_RESOURCES",  # cuSPARSE
    "STATUS_NOT_INITIALIZED",  # a library's handle needs memory of its own, and says this without it
    "unable to find an engine to execute this computation",  # cuDNN, when no engine's workspace fits
    "MAGMA_ERR_DEVICE_ALLOC",
    "MAGMA_ERR_HOST_ALLOC",
    "DefaultCPUAllocator",  # PyTorch's allocators on the host say so in words only
    "not enough memory",
    "Cannot allocate memory",
    "could not create a memory object",  # oneDNN
    "std::bad_alloc",
)
BROKEN = (
    "CUDA error:",  # an illegal address, an assertion in a kernel, a launch that failed, a device that fell off
    "CUDA driver error:",
    "_STATUS_EXECUTION_FAILED",
    "_STATUS_INTERNAL_ERROR",
    "_STATUS_MAPPING_ERROR",
    "unspecified launch failure",
    "device-side assert",
)


class DeviceFailed(OSError):
    """The device refused all further work of this process; the trial can be tried again in a new one."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether host or device memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


def is_device_failure(error: BaseException) -> bool:
    """Return whether the context on the device is broken: every later call of this process would fail as well."""
    if not isinstance(error, RuntimeError) or is_out_of_memory(error):
        return False
    return isinstance(error, torch.AcceleratorError) or any(words in str(error) for words in BROKEN)


def first_line(error: BaseException) -> str:
    """Return the error's type and the first line of its text."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
