"""Classify errors of libraries: memory ran out, or this process can no longer use the device."""

from __future__ import annotations

import errno

import torch

OUT_OF_MEMORY = (
    "out of memory",  # CUDA's and HIP's allocators, cudaErrorMemoryAllocation, the driver, NCCL
    "ALLOC_FAILED",  # cuBLAS, cuSOLVER, cuSPARSE, cuFFT and cuDNN: CUBLAS_STATUS_ALLOC_FAILED and so on
    "ALLOCATION_FAILED",  # cuDNN 9 (..._HOST_ALLOCATION_FAILED, ..._DEVICE_ALLOCATION_FAILED), cuRAND
    "INSUFFICIENT_RESOURCES",  # cuSPARSE
    "STATUS_NOT_INITIALIZED",  # also what a library says when there is no memory for its handle
    "unable to find an engine to execute this computation",  # cuDNN, when no engine's workspace fits
    "MAGMA_ERR_DEVICE_ALLOC",
    "MAGMA_ERR_HOST_ALLOC",
    "DefaultCPUAllocator",  # PyTorch's host allocators raise a plain RuntimeError
    "not enough memory",
    "Cannot allocate memory",
    "could not create a memory object",  # oneDNN
    "std::bad_alloc",
)
BROKEN = (
    "CUDA error:",  # illegal address, assertion in a kernel, failed launch, lost device
    "CUDA driver error:",
    "_STATUS_EXECUTION_FAILED",
    "_STATUS_INTERNAL_ERROR",
    "_STATUS_MAPPING_ERROR",
    "unspecified launch failure",
    "device-side assert",
)


class DeviceFailed(OSError):
    """The device accepts no more work from this process; the trial can run again in a new process."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether host or device memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


def is_device_failure(error: BaseException) -> bool:
    """Return whether the device's context is broken, so that every later call of this process would fail too."""
    if not isinstance(error, RuntimeError) or is_out_of_memory(error):
        return False
    return isinstance(error, torch.AcceleratorError) or any(words in str(error) for words in BROKEN)
