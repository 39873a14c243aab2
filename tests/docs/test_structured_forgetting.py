"""The registered statistics are computed as their page says."""

from __future__ import annotations

import importlib.util
import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.docs.test_readme import RESULTS

LINES = {
    "": 0.0,
    json.dumps({"tau": "moving_average", "strength": 1.0}): -0.10,
    json.dumps({"tau": "moving_average", "strength": 1.0, "shuffled": True}): -0.08,
    json.dumps({"tau": "mubench", "strength": 10.0}): 0.0,
}


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("structured_forgetting", RESULTS / "structured_forgetting.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def test_a_planted_fall_is_found_with_its_size_and_the_control_separates_order_from_scale(script, rows) -> None:
    found = script.accuracies(rows)
    assert script.by_seed(found, "forget_accuracy", "published", "none").mean() == pytest.approx(-10, abs=0.3)
    order = script.by_seed(found, "forget_accuracy", "published", "shuffled")
    assert len(order) == 5
    assert order.mean() == pytest.approx(-2, abs=0.3)
    assert script.lower(order) < 0.01
    assert script.lower(-order) > 0.99
    assert re.search(r"\| A +\|[^|]+\| -(9|10)\.\d\d ± 0\.\d\d", script.primary(found))
    assert "| scrub" in script.secondary(found)


def test_no_difference_in_any_seed_is_no_evidence(script) -> None:
    assert script.lower(pd.Series([0.0] * 5)) == 1.0


def test_a_run_that_did_not_end_as_done_is_refused(script, rows) -> None:
    rows.loc[3, "status"] = "diverged"
    with pytest.raises(ValueError, match=r"1 runs did not end as done: got \['salun'\]"):
        script.accuracies(rows)


def test_the_picture_shows_every_line(script, rows) -> None:
    drawn = script.picture(script.accuracies(rows)).svg
    assert all(name in drawn for name in script.NAMES.values())
