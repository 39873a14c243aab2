"""The peak is the trial's own: it includes neither earlier memory nor memory that processes share."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from orchestrator.run.guards.peak_memory import PeakMemory

MEGABYTE = 2**20
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can reset the high-water mark")


def allocate(megabytes):
    """Allocate memory and write to all of it."""
    return torch.ones(megabytes * MEGABYTE, dtype=torch.uint8)


def test_the_peak_counts_what_was_freed_since_and_nothing_from_before():
    allocate(300)
    kept = allocate(100)
    memory = PeakMemory(torch.device("cpu"))
    del_me = allocate(150)
    del del_me
    allocate(20)
    assert 145 < memory.num_bytes / MEGABYTE < 200
    assert len(kept)


def test_mapped_pages_do_not_count(tmp_path):
    np.save(tmp_path / "features.npy", np.ones(100 * MEGABYTE, dtype=np.uint8))
    memory = PeakMemory(torch.device("cpu"))
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")  # kept, as a process keeps its features
    assert mapped.max() == 1
    assert memory.num_bytes / MEGABYTE < 30
