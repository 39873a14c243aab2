from __future__ import annotations

import json

import pytest
import torch

from orchestrator import load_sweep, read_rows, run_sweep
from orchestrator.run.evaluation import unchanged
from orchestrator.run.evaluation.unchanged import Before


def weights(count: int = 1000) -> dict[str, torch.Tensor]:
    drawn = torch.randn(count, generator=torch.Generator().manual_seed(0))
    return {"a.weight": drawn.reshape(10, -1), "empty": torch.zeros(0), "counted": torch.tensor(3)}


@pytest.mark.parametrize(
    ("changed", "same"),
    [({}, True), ({777: 1e-8}, True), ({777: 1e-5}, False), ({0: 1e-5}, False), ({777: float("nan")}, False)],
)
def test_one_weight_that_moved_is_found_and_rounding_is_not(changed, same, monkeypatch):
    monkeypatch.setattr(unchanged, "CHUNK", 64)  # in parts
    start, end = weights(), weights()
    before = Before.of(start)
    for at, step in changed.items():
        end["a.weight"].view(-1)[at] += step
    assert before.is_still(end, weights) is same


def test_a_buffer_that_counts_is_compared_too_and_the_sample_alone_can_tell():
    start, end = weights(), weights()
    end["counted"] += 1
    assert not Before.of(start).is_still(end, lambda: pytest.fail("the sample had told"))


def test_rows_say_which_methods_left_the_model_as_it_was_and_why(small_sweep, cache_dir, tmp_path):
    methods = (
        "methods=[original, retrain, {name: grad_ascent, lora: {rank: 2}}, {name: grad_ascent, epochs: 0, lora: "
        "{rank: 2}}, {name: unsir, noise_steps: 20}, {name: ssd, selection: 1.0e+6}, grad_ascent]"
    )
    loaded = load_sweep(small_sweep, [methods, "time_budget.fraction=0.9"])
    run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    rows = read_rows(tmp_path / "r")
    rows = rows[rows["method"] != "original"]
    assert set(rows["status"]) == {"done"}
    said = {
        (row["method"], bool(row["lora"]), json.loads(row["settings"]).get("epochs")): (row["unchanged"], row["note"])
        for row in rows.to_dict("records")
    }
    assert said.pop(("retrain", False, None), (None, ""))[0] is None
    assert said == {
        ("grad_ascent", True, 1): (False, ""),
        ("grad_ascent", False, 1): (False, ""),
        ("grad_ascent", True, 0): (True, "the method ended without a change"),
        ("unsir", False, 1): (True, "the budget ended before the first change"),
        ("ssd", False, None): (True, "the method ended without a change"),
    }
