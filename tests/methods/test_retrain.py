"""Retrain: it ends with the requested epoch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from methods.base import Scores
from methods.retrain import Retrain


@pytest.mark.parametrize("keep_epoch", ["best", "last"])
def test_training_ends_with_the_requested_epoch(kit, monkeypatch, keep_epoch):
    """D_v says that the first of two epochs is best."""
    problem, seen, scores = (
        kit.training_problem(),
        [],
        iter([Scores(accuracy=1.0, loss=0.0), Scores(accuracy=0.5, loss=0.0)]),
    )
    problem.training = replace(problem.training, keep_epoch=keep_epoch)
    monkeypatch.setattr("methods.engine.pass_runner.PassRunner._scores", lambda runner: next(scores))

    class Watched(Retrain):
        def passes(self, problem):
            for current in super().passes(problem):
                yield replace(current, after_step=lambda model, _: seen.append(kit.weights(model)))

    kit.run(Watched(), problem)
    first, last = seen[2], seen[5]
    assert any(not torch.equal(first[name], last[name]) for name in first)
    wanted, ends = {"best": first, "last": last}[keep_epoch], kit.weights(problem.model)
    assert all(torch.equal(ends[name], wanted[name]) for name in wanted)
