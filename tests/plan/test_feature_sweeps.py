"""The sweeps on what the paper leaves open (its sections 6.2, 6.3 and 6.5) plan whole: nothing is refused or absent."""

from __future__ import annotations

from collections import Counter

import pytest

from orchestrator import load_sweep, plan_sweep

METHODS = {"grad_ascent", "random_label", "salun", "scrub", "bad_teacher", "npo", "unheard"}
REQUESTS = {"attributes": 5, "poisoned": 2, "malicious": 4}


@pytest.mark.parametrize("sweep", REQUESTS)
def test_every_request_has_original_retrain_and_the_same_methods_for_three_seeds(sweep: str) -> None:
    grid = plan_sweep(load_sweep(sweep)).grid
    assert not grid.refused
    lines = [spec for spec in grid.trials if spec.stage != "train"]
    assert {spec.method.name for spec in lines} == {"original", "retrain", *METHODS}
    assert {spec.seed for spec in lines} == {0, 1, 2}
    counted = Counter((spec.task.title, spec.forget.key, spec.seed) for spec in lines)
    assert set(counted.values()) == {len(METHODS) + 2}
    assert len(counted) == 3 * REQUESTS[sweep]
