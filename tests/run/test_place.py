"""What a process may take of a GPU that it shares, with a GPU made of paper."""

from __future__ import annotations

import pytest
import torch

from orchestrator.results import open_store
from orchestrator.run.place import FEATURES_SHARE, Limits, Place

GIB = 2**30


@pytest.fixture
def paper_gpu(monkeypatch):
    """A GPU of 100 GiB with 80 free, of which this process holds 10; gives the caps that were set."""
    caps = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, device: caps.append(share))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (80 * GIB, 100 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 10 * GIB)
    return caps


def place(tmp_path, share, device="cuda"):
    return Place(open_store(tmp_path), tmp_path, torch.device(device), limits=Limits(gpu_share=share))


def test_processes_that_share_a_gpu_are_capped_below_their_share(paper_gpu, tmp_path):
    place(tmp_path, 0.25)
    assert len(paper_gpu) == 1
    assert 0.2 < paper_gpu[0] < 0.25


def test_a_process_with_a_gpu_to_itself_is_not_capped(paper_gpu, tmp_path):
    place(tmp_path, 1.0)
    place(tmp_path, 0.5, device="cpu")
    assert paper_gpu == []


def test_features_get_a_part_of_what_is_free_and_ours(paper_gpu, tmp_path):
    assert place(tmp_path, 1.0)._room_bytes() == pytest.approx(FEATURES_SHARE * 80 * GIB, rel=1e-6)
    shared = place(tmp_path, 0.5)
    assert shared._room_bytes() == pytest.approx(FEATURES_SHARE * (47.5 - 10) * GIB, rel=1e-6)
    assert place(tmp_path, 1.0, device="cpu")._room_bytes() == 0
