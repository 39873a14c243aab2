"""The contract of training kinds, tested for every kind found."""

from __future__ import annotations

import pytest
import torch

from methods.base import TrainingRecipe
from orchestrator import plugins

KINDS = plugins.names("trainings")


def test_the_kinds_are_found_and_are_no_methods():
    assert {"standard", "closed_form_head", "early_checkpoints"} <= set(KINDS)
    assert not set(KINDS) & set(plugins.names("methods"))


@pytest.mark.parametrize("name", KINDS)
def test_what_is_kept_does_not_change_the_model_and_repeats_bit_for_bit(kit, name):
    kind = plugins.load("trainings", name)
    assert isinstance(kind, TrainingRecipe)
    ends = []
    for problem in (kit.training_problem(), kit.training_problem(), kit.make_problem()):
        torch.manual_seed(0)
        kit.run(kind, problem)
        ends.append((kit.weights(problem.model), problem.artifacts_to_store))
    for weights, _ in ends[1:]:
        assert all(torch.equal(ends[0][0][key], weights[key]) for key in weights)
    assert ends[0][1].keys() == ends[1][1].keys()
    assert all(torch.equal(ends[0][1][key], ends[1][1][key]) for key in ends[0][1])


@pytest.mark.parametrize("name", KINDS)
def test_a_schedule_is_charged_the_samples_that_it_says(kit, name):
    problem, kind = kit.make_problem(), plugins.load("trainings", name)
    kit.run(kind, problem)
    assert problem.budget.samples == pytest.approx(kind.schedule_samples(problem.training, len(problem.retain)))
