"""Errors of libraries are classified: memory ran out, the device failed, or neither."""

from __future__ import annotations

import errno

import pytest
import torch

from backbones.logmel import LogMelCnnClassifier
from orchestrator import load_sweep, read_rows, run_sweep
from orchestrator.errors import StoppedEarly
from orchestrator.run.assignment import TRANSIENT
from orchestrator.run.guards.device_errors import DeviceFailed, is_device_failure, is_out_of_memory

ILLEGAL = "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported"
MEMORY = [
    "CUDA error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "GET was unable to find an engine to execute this computation",
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "CUDA error: CUSPARSE_STATUS_INSUFFICIENT_RESOURCES when calling `cusparseCreate(handle)`",
    "cuFFT error: CUFFT_ALLOC_FAILED",
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory",
    "could not create a memory object",
    "std::bad_alloc",
]
BROKEN = [
    ILLEGAL,
    "CUDA error: device-side assert triggered",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    "cusolver error: CUSOLVER_STATUS_INTERNAL_ERROR",
    "CUDA driver error: unspecified launch failure",
]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        torch.AcceleratorError("CUDA error: out of memory", 2),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        *map(RuntimeError, MEMORY),
    ],
    ids=str,
)
def test_every_form_of_memory_that_ran_out_is_recognized(error):
    assert is_out_of_memory(error)
    assert not is_device_failure(error)


@pytest.mark.parametrize("error", [torch.AcceleratorError(ILLEGAL, 700), *map(RuntimeError, BROKEN)], ids=str)
def test_a_broken_context_is_recognized(error):
    assert is_device_failure(error)
    assert not is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError(ILLEGAL), OSError(28, "full")])
def test_other_errors_are_neither(error):
    assert not is_device_failure(error)
    assert not is_out_of_memory(error)


def test_a_device_failure_is_transient_and_memory_that_ran_out_is_not():
    assert issubclass(DeviceFailed, TRANSIENT)
    assert not any(issubclass(error, TRANSIENT) for error in (MemoryError, torch.OutOfMemoryError))


def test_a_device_that_fails_stops_the_local_executor_and_fails_no_trial(
    small_sweep, cache_dir, tmp_path, monkeypatch, injected
):
    loaded, results = load_sweep(small_sweep, ["methods=[original]"]), tmp_path / "r"

    def embed(self, features, lengths):
        raise torch.AcceleratorError(ILLEGAL, 700)

    with monkeypatch.context() as patched:
        patched.setattr(LogMelCnnClassifier, "embed", embed)
        with pytest.raises(StoppedEarly, match=r"this process cannot use it any more.*illegal memory") as stopped:
            run_sweep(loaded, results, executor="local", cache_dir=cache_dir)
    assert "Give the same command again" in str(stopped.value)
    assert read_rows(results).empty
    dispatcher = run_sweep(loaded, results, executor="local", cache_dir=cache_dir)
    came = "the launch stops; the same command goes on with the trial"
    injected("the GPU's context breaks", came, results, list(dispatcher.specs))
    assert set(read_rows(results)["status"]) == {"done"}
