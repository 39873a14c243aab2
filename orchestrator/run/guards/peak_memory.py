"""The most memory that a trial had for itself: on its GPU, or of the process's private memory.

On CUDA: bytes of tensors at the peak, less what lay there before the model was built (features that stay from trial to
trial). On Linux: the process's high-water mark, which writing 5 to /proc/self/clear_refs sets back, less mapped pages
(corpora, features, libraries: one copy for all processes) and less the private memory there was before the model was
built. Memory that an allocator kept from the trial before is given back first, as far as it can be. Elsewhere it is the
process's high-water mark since it started.
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
    """Counts from where it is made."""

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
        """The most since then."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) - self._before
        now = process_bytes()
        if "VmHWM" not in now:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return peak if sys.platform == "darwin" else peak * 1024
        return max(0, now["VmHWM"] - now["RssFile"] - now["RssShmem"] - self._before)


def process_bytes() -> dict[str, int]:
    """What Linux says of this process's memory, in bytes: VmHWM, VmRSS, RssAnon (private), RssFile, RssShmem."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return {}
    found = (line.split() for line in lines if line.startswith(("VmHWM:", "VmRSS:", "Rss")))
    return {name.rstrip(":"): int(kilobytes) * 1024 for name, kilobytes, *_ in found}
