"""A launch ends only if Ray assigned a GPU that torch does not see."""

from __future__ import annotations

import pytest
import torch

from orchestrator.run.guards.unseen_gpu import UNSEEN, unseen_gpu


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.delenv("UNLEARN_LOGICAL_GPUS", raising=False)


@pytest.mark.parametrize(("given", "sees", "ends"), [([0], False, True), ([0], True, False), ([], False, False)])
def test_only_an_assigned_gpu_that_torch_does_not_see_ends_a_launch(monkeypatch, given, sees, ends):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: sees)
    assert unseen_gpu(given).startswith(UNSEEN) is ends
    monkeypatch.setenv("UNLEARN_LOGICAL_GPUS", "1")
    assert not unseen_gpu(given)
