"""Compiled steps are the eager ones; what has another size runs eagerly, and compiling is not charged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch

from methods.base import Method, Pass
from methods.engine import compiled, loop
from methods.engine.losses import cross_entropy


@dataclass(frozen=True, kw_only=True)
class OnePass(Method):
    """Two epochs over sixteen utterances in batches of six: two full ones and one of four."""

    label = "test"
    version = 1

    def passes(self, problem) -> Iterator[Pass]:
        over = problem.forget + problem.retain
        yield Pass(name="p", over=over, loss=cross_entropy, learning_rate=1e-2, batch_size=6, epochs=2)


@pytest.fixture
def graphs(monkeypatch):
    """Sizes of the batches that went through a compiled graph, without a compiler: graphs run as they were traced."""
    sizes = []

    def backend(graph, inputs):
        def run(*arguments):
            sizes.append(next(len(a) for a in arguments if a.shape[-1:] == (4,) and a.ndim == 2 and len(a) != 5))
            return graph.forward(*arguments)

        return run

    torch._dynamo.reset()
    real = compiled.CompiledModel
    monkeypatch.setattr(loop, "CompiledModel", lambda model, budget: real(model, budget, backend=backend))
    yield sizes
    torch._dynamo.reset()


def test_compiled_steps_equal_eager_ones_and_odd_sizes_run_eagerly(kit, graphs):
    eager, fast = kit.make_problem(), kit.make_problem()
    kit.run(OnePass(), eager)
    outcome, _ = kit.run(OnePass(), fast, compile=True)
    assert outcome.steps == 6
    assert fast.budget.samples == eager.budget.samples
    for name, value in kit.weights(eager.model).items():
        torch.testing.assert_close(kit.weights(fast.model)[name], value, rtol=1e-9, atol=1e-12)
    assert graphs == [6] * 5  # once to compile, then two full batches an epoch
    assert fast.budget.evaluation_seconds > 0  # where compiling is timed


def test_micro_batches_are_what_is_compiled(kit, graphs):
    kit.run(OnePass(), kit.make_problem(), compile=True, micro_batch=3)
    assert graphs == [3] * 11  # once to compile, then two halves of two batches and one of the smaller, twice


def test_memory_that_runs_out_while_compiling_is_told_with_its_size(kit, graphs):
    def too_large(features, lengths):
        raise torch.OutOfMemoryError

    problem = kit.make_problem()
    problem.model.embed = too_large
    with pytest.raises(torch.OutOfMemoryError):
        kit.run(OnePass(), problem, compile=True)
    assert problem.budget.largest_batch == 6
    assert problem.budget.samples == 0
