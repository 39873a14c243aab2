"""Measure the peak memory that a trial used for itself: on its GPU, or private memory of its process.

- CUDA: bytes of tensors at the peak, minus those allocated before the model was built (features that several trials
  use).
- Linux: the high-water mark of the process, which writing 5 to /proc/self/clear_refs resets, minus mapped pages
  (corpora, features, libraries: one copy for all processes), and minus the private memory from before the model was
  built. Memory that the allocator kept from the previous trial is released first, as far as possible.
- Other systems: the high-water mark since the process started.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")


class PeakMemory:
    """Measure the peak since this object was created."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        gc.collect()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)
            return
        with contextlib.suppress(OSError, AttributeError):  # not glibc
            ctypes.CDLL(None).malloc_trim(0)
        with contextlib.suppress(OSError):  # not Linux, or not allowed
            Path("/proc/self/clear_refs").write_text("5")
        self._before = process_bytes().get("RssAnon", 0)

    @property
    def num_bytes(self) -> int:
        """Peak in bytes."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) - self._before
        now = process_bytes()
        if "VmHWM" not in now:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return peak if sys.platform == "darwin" else peak * 1024
        return max(0, now["VmHWM"] - now["RssFile"] - now["RssShmem"] - self._before)


def process_bytes() -> dict[str, int]:
    """Return this process's memory in bytes by Linux's names: VmHWM, VmRSS, RssAnon (private), RssFile, RssShmem.

    Empty on other systems.
    """
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return {}
    found = (line.split() for line in lines if line.startswith(("VmHWM:", "VmRSS:", "Rss")))
    return {name.rstrip(":"): int(kilobytes) * 1024 for name, kilobytes, *_ in found}
