"""The sweeps on what the paper leaves open (its sections 6.2, 6.3 and 6.5) plan whole; recordings may be absent."""

from __future__ import annotations

from collections import Counter

import pytest

from orchestrator import load_sweep
from orchestrator.plan.grid import build_grid

METHODS = {"grad_ascent", "random_label", "salun", "scrub", "bad_teacher", "npo", "unheard"}
REQUESTS = {"attributes": 5, "poisoned": 2, "malicious": 4, "languages": 1, "synthetic_voice": 1}
REAL = ("real_digits", "digits_of_both")  # tasks that need recordings


@pytest.mark.parametrize("sweep", REQUESTS)
def test_every_request_has_original_retrain_and_the_same_methods_for_three_seeds(sweep: str) -> None:
    grid = build_grid(load_sweep(sweep).sweep)
    assert {refusal.what for refusal in grid.refused} <= {f"task {name}" for name in REAL}
    lines = [spec for spec in grid.trials if spec.stage != "train"]
    assert {spec.method.name for spec in lines} == {"original", "retrain", *METHODS}
    assert {spec.seed for spec in lines} == {0, 1, 2}
    counted = Counter((spec.task.title, spec.forget.key, spec.seed) for spec in lines)
    assert set(counted.values()) == {len(METHODS) + 2}
    assert len(counted) == 3 * REQUESTS[sweep] * len({spec.task.title for spec in lines})
