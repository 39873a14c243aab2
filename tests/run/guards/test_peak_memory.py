"""The peak is the trial's own: neither what came before it nor what processes share."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from orchestrator.run.guards.peak_memory import PeakMemory

MEGABYTE = 2**20
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can set the high-water mark back")


def taken(megabytes):
    """That much memory, touched."""
    return torch.ones(megabytes * MEGABYTE, dtype=torch.uint8)


def test_the_peak_counts_what_was_freed_meanwhile_and_nothing_from_before():
    taken(300)
    kept = taken(100)
    memory = PeakMemory(torch.device("cpu"))
    del_me = taken(150)
    del del_me
    taken(20)
    assert 145 < memory.num_bytes / MEGABYTE < 200
    assert len(kept)


def test_mapped_pages_do_not_count(tmp_path):
    np.save(tmp_path / "features.npy", np.ones(100 * MEGABYTE, dtype=np.uint8))
    memory = PeakMemory(torch.device("cpu"))
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")  # kept, as a process keeps its features
    assert mapped.max() == 1
    assert memory.num_bytes / MEGABYTE < 30
