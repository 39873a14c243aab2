from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from methods.base import Method


@pytest.mark.parametrize(("count", "expected"), [(4, 4), (0, 0), (99, 10)])
def test_a_drawn_part_has_no_utterance_twice_and_keeps_the_order_and_the_labels(kit, count, expected):
    _, retain, _ = kit.make_sets()
    drawn = retain.sample(count, torch.Generator().manual_seed(2))
    rows = drawn.utterances.tolist()
    assert len(rows) == expected
    assert rows == sorted(set(rows))
    assert set(rows) <= set(retain.utterances.tolist())
    assert drawn.labels.tolist() == [row % 3 for row in rows]


def test_a_draw_is_the_generators_first_permutation(kit):
    _, retain, _ = kit.make_sets()
    first = torch.randperm(10, generator=torch.Generator().manual_seed(2))[:4]
    drawn = retain.sample(4, torch.Generator().manual_seed(2))
    assert drawn.utterances.tolist() == retain.utterances[first].sort().values.tolist()


@pytest.mark.parametrize(("precision", "expected"), [("fp32", False), ("bf16", True)])
def test_what_reads_a_set_outside_of_steps_runs_under_the_trials_autocast(kit, precision, expected):
    problem, found = kit.make_problem(), []

    @dataclass(frozen=True, kw_only=True)
    class Reading(Method):
        label, version = "reading", 1

        def passes(self, problem):
            for _ in problem.iterate(problem.forget, 4, backward=False):
                found.append(torch.is_autocast_enabled("cpu"))
            problem.evaluate(problem.validation)
            return iter(())

    def score(model, utterances):
        found.append(torch.is_autocast_enabled("cpu"))
        return kit.score(model, utterances)

    problem.score = score
    kit.run(Reading(), problem, precision=precision)
    assert found == [expected] * 3
    assert not torch.is_autocast_enabled("cpu")
