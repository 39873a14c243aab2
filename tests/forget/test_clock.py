from __future__ import annotations

import time

import pytest

from orchestrator.forget.clock import Clock


def test_each_step_has_its_own_seconds_and_a_step_that_is_repeated_has_their_sum(monkeypatch):
    now = iter([0.0, 1.0, 10.0, 12.0, 20.0, 24.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    clock = Clock()
    for step in ("reading", "checking", "reading"):
        with clock(step):
            pass
    assert clock.seconds == {"reading": 5.0, "checking": 2.0}


def test_a_step_that_fails_is_counted(monkeypatch):
    now = iter([0.0, 1.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    clock = Clock()
    with pytest.raises(KeyError), clock("reading"):
        raise KeyError
    assert clock.seconds == {"reading": 1.0}
