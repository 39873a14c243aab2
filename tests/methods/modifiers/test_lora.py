from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from methods.grad_ascent import GradAscent
from methods.modifiers.lora import Lora, add_adapters, merge_adapters
from methods.salun import SalUn


def logits_of(model, utterances):
    model.eval()
    with torch.no_grad():
        return torch.cat([model(b.features, b.lengths) for b in utterances.batches(64)])


def test_new_adapters_change_no_logit_and_leave_the_head_and_themselves_to_move(kit):
    problem = kit.make_problem()
    before = logits_of(problem.model, problem.forget)
    add_adapters(problem.model, Lora(rank=2))
    assert torch.equal(logits_of(problem.model, problem.forget), before)
    moving = {name for name, p in problem.model.named_parameters() if p.requires_grad}
    assert {name for name in moving if "lora" not in name} == {"head.weight", "head.bias"}
    assert {tuple(p.shape) for name, p in problem.model.named_parameters() if "lora" in name} == {(2, 4), (5, 2)}


def test_merged_logits_equal_the_adapters_and_names_are_those_of_before(kit):
    problem = kit.make_problem()
    names = list(problem.model.state_dict())
    moved = add_adapters(problem.model, Lora(rank=2, alpha=6.0))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in problem.model.named_parameters():
            if "lora_B" in name:
                p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype))
    base = problem.model.body.base_layer.weight.detach().clone()
    a, b = (problem.model.get_parameter(f"body.lora_{x}.default.weight").detach() for x in "AB")
    with_adapters = logits_of(problem.model, problem.forget)
    merge_adapters(problem.model, moved)
    torch.testing.assert_close(logits_of(problem.model, problem.forget), with_adapters, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(problem.model.body.weight.detach(), base + 3.0 * b @ a)
    assert list(problem.model.state_dict()) == names
    assert type(problem.model.body) is nn.Linear


@pytest.mark.parametrize("method", [GradAscent(learning_rate=1e-2), SalUn(learning_rate=1e-2, epochs=2)])
def test_frozen_weights_do_not_move_until_the_merge_and_the_result_has_low_rank(kit, method):
    problem = kit.make_problem()
    before = kit.weights(problem.model)
    frozen = []

    class Watched(type(method)):
        def passes(self, problem):
            yield from method.passes(problem)
            frozen.append(problem.model.body.base_layer.weight.detach().clone())

    kit.run(Watched(), problem, lora=Lora(rank=1))
    after = kit.weights(problem.model)
    assert torch.equal(frozen[0], before["body.weight"])
    assert torch.equal(after["body.bias"], before["body.bias"])
    assert not torch.equal(after["head.weight"], before["head.weight"])
    assert torch.linalg.matrix_rank(after["body.weight"] - before["body.weight"]) == 1


def test_a_run_that_its_budget_stops_ends_merged_and_repeats(kit):
    ends = []
    for _ in range(2):
        torch.manual_seed(3)
        problem = kit.make_problem(limit=8.0)
        outcome, _ = kit.run(GradAscent(learning_rate=1e-2, epochs=9, batch_size=4), problem, lora=Lora(dropout=0.5))
        assert outcome.stop_reason == "budget"
        ends.append(kit.weights(problem.model))
    assert set(ends[0]) == {"body.weight", "body.bias", "head.weight", "head.bias"}
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize("limit", [None, 8.0])
def test_what_could_move_before_and_only_that_can_move_afterward(kit, limit):
    problem = kit.make_problem(limit=limit)
    problem.model.body.bias.requires_grad_(False)
    before = {name: p.requires_grad for name, p in problem.model.named_parameters()}
    kit.run(GradAscent(learning_rate=1e-2, batch_size=4, epochs=3), problem, lora=Lora(rank=1))
    assert {name: p.requires_grad for name, p in problem.model.named_parameters()} == before
    assert before == {"body.weight": True, "body.bias": False, "head.weight": True, "head.bias": True}


def test_a_classifier_without_targets_is_refused(kit):
    model = copy.deepcopy(kit.TwoLayers())
    model.adapter_targets = ()
    with pytest.raises(ValueError, match="lora needs a backbone whose adapter_targets name linear layers"):
        add_adapters(model, Lora())


@pytest.mark.parametrize(
    ("wrong", "message"), [({"rank": 0}, "rank"), ({"alpha": 0.0}, "alpha"), ({"dropout": 1.0}, "dropout")]
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=f"lora.{message} must .*got"):
        Lora(**wrong)
