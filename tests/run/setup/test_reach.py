"""Test and holdout data are out of a method's reach."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from methods.base import Batch, Method
from methods.engine.budget import BudgetMeter
from orchestrator import load_sweep, read_rows, run_sweep
from orchestrator.run.setup.reach import Reach


def reach_of(*rows):
    return Reach(10, [np.array(rows)], BudgetMeter())


def test_rows_in_reach_are_read_and_others_are_named():
    fetch = reach_of(1, 2, 5).guarded(lambda rows: (rows, rows))
    assert torch.equal(fetch(torch.tensor([5, 1]))[0], torch.tensor([5, 1]))
    with pytest.raises(ValueError, match=r"D_f, D_r and D_v only: got 2 other utterances \(rows 3, 9 "):
        fetch(torch.tensor([1, 3, 9]))


def test_the_teacher_answers_for_rows_in_reach_alone():
    def batch(*rows):
        found = torch.tensor(rows)
        return Batch(found[:, None].float(), found, found, found > 0, found)

    teacher = reach_of(1, 2).guarded_teacher(lambda batch: batch.features)
    assert teacher(batch(2, 1)).flatten().tolist() == [2, 1]
    with pytest.raises(ValueError, match="D_f, D_r and D_v only"):
        teacher(batch(2, 0))


@pytest.mark.parametrize("asks", ["features", "logits"])
def test_a_method_that_asks_for_test_data_fails_and_says_so(small_sweep, cache_dir, tmp_path, monkeypatch, asks):
    class Cheat(Method):
        label, version, edits_weights = "cheat", 1, True

        def passes(self, problem):
            known = torch.cat([s.utterances for s in (problem.forget, problem.retain, problem.validation)])
            rows = torch.tensor([row for row in range(240) if row not in set(known.tolist())])[:4]
            features, lengths = problem.forget.fetch(problem.forget.utterances[:4] if asks == "logits" else rows)
            problem.original_logits(Batch(features, lengths, rows, rows > 0, rows))
            return iter(())

    from orchestrator import plugins

    real = plugins.load
    monkeypatch.setattr(
        plugins, "load", lambda kind, name, **fields: Cheat() if name == "fine_tune" else real(kind, name, **fields)
    )
    run_sweep(load_sweep(small_sweep, ["methods=[fine_tune]"]), tmp_path / "r", executor="local", cache_dir=cache_dir)
    (row,) = read_rows(tmp_path / "r").query("stage == 'unlearn'").to_dict("records")
    assert row["status"] == "failed"
    assert "D_f, D_r and D_v only" in row["error"]
