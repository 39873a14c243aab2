"""The registered statistics are computed as their page says."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.docs.scripts import script

LINES = {
    "": 0.0,
    json.dumps({"tau": "moving_average", "strength": 1.0}): -0.10,
    json.dumps({"tau": "moving_average", "strength": 1.0, "shuffled": True}): -0.08,
    json.dumps({"tau": "mubench", "strength": 10.0}): 0.0,
}


@pytest.fixture(scope="module")
def statistics() -> Any:
    return script("structured_forgetting")


@pytest.fixture
def rows() -> pd.DataFrame:
    """Two methods, two cells, five seeds; SuperLoss lowers D_f by 10 points, shuffled weights by 8."""
    noise = np.random.default_rng(0)
    made = [
        {"stage": "unlearn", "status": "done", "tuning": False, "method": method, "superloss": superloss, "seed": seed}
        | {
            "task": "keywords",
            "backbone": "b",
            "unlearning": kind,
            "forget_classes": f"c{seed}" if kind == "class" else "",
        }
        | {"forget_accuracy": 0.45 + fall + noise.normal(0, 0.003), "retain_accuracy": 0.9, "test_accuracy": 0.8}
        for method in ("salun", "scrub")
        for kind in ("class", "sample")
        for seed in range(5)
        for superloss, fall in LINES.items()
    ]
    return pd.DataFrame(made)


def test_a_planted_fall_is_found_with_its_size_and_the_control_separates_order_from_scale(statistics, rows) -> None:
    found = statistics.accuracies(rows)
    assert statistics.by_seed(found, "forget_accuracy", "published", "none").mean() == pytest.approx(-10, abs=0.3)
    order = statistics.by_seed(found, "forget_accuracy", "published", "shuffled")
    assert len(order) == 5
    assert order.mean() == pytest.approx(-2, abs=0.3)
    assert statistics.lower(order) < 0.01
    assert statistics.lower(-order) > 0.99
    assert re.search(r"\| A +\|[^|]+\| -(9|10)\.\d\d ± 0\.\d\d", statistics.primary(found))
    assert "| scrub" in statistics.secondary(found)


def test_no_difference_in_any_seed_is_no_evidence(statistics) -> None:
    assert statistics.lower(pd.Series([0.0] * 5)) == 1.0


def test_a_run_that_did_not_end_as_done_is_refused(statistics, rows) -> None:
    rows.loc[3, "status"] = "diverged"
    with pytest.raises(ValueError, match=r"1 runs did not end as done: got \['salun'\]"):
        statistics.accuracies(rows)


def test_the_picture_shows_every_line(statistics, rows) -> None:
    drawn = statistics.picture(statistics.accuracies(rows)).svg
    assert all(name in drawn for name in statistics.NAMES.values())
