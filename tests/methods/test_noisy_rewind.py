"""Noisy rewind: ε, the reach of AdamW and the distance of descents, computed another way, and the row's note."""

from __future__ import annotations

import math
import re
from contextlib import contextmanager

import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm
from torch.optim.optimizer import register_optimizer_step_post_hook

from methods.modifiers.superloss import SuperLoss
from methods.noisy_rewind import NO_NOISE, NoisyRewind, adamw_reach, descent_distance, epsilon_of, rates
from methods.retrain import Retrain
from methods.rewind import Rewind
from methods.trainings.early_checkpoints import checkpoint
from orchestrator import plugins


@pytest.mark.parametrize("ratio", [0.1, 0.5, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("delta", [1e-5, 1e-2])
def test_epsilon_is_the_balance_of_two_normal_tails(ratio, delta):
    def surplus(epsilon):
        tails = norm.logcdf(ratio / 2 - epsilon / ratio), norm.logcdf(-ratio / 2 - epsilon / ratio)
        return math.exp(tails[0]) - math.exp(epsilon + tails[1]) - delta

    expected = 0.0 if surplus(0.0) <= 0 else brentq(surplus, 0.0, ratio**2 / 2 + 40 * ratio)
    assert epsilon_of(ratio, delta) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_epsilon_of_large_distances_is_continuous_finite_and_never_below():
    assert epsilon_of(100.0, 1e-5) == pytest.approx(epsilon_of(100.0001, 1e-5), rel=1e-3)
    assert epsilon_of(1e6, 1e-5) == pytest.approx(0.5e12, rel=1e-4)
    assert epsilon_of(0.0, 1e-5) == 0.0
    assert epsilon_of(math.inf, 1e-5) == math.inf


def test_no_gradients_move_adamw_further_than_its_reach_and_the_worst_come_close():
    steps = 200
    reach = adamw_reach([1e-3] * steps, 1)
    generator = torch.Generator().manual_seed(0)
    worst = [0.999**-t * 0.9**t for t in range(steps)]  # equality in the inequality of the last step
    sequences = [
        torch.ones(steps), torch.randn(steps, generator=generator), 10 ** (torch.arange(steps) / 20.0),
        torch.tensor(worst).flip(0),
    ]  # fmt: skip
    moved = []
    for gradients in sequences:
        weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        adam = torch.optim.AdamW([weight], lr=1e-3, weight_decay=0.0, eps=0.0)
        for g in gradients.double():
            weight.grad = g[None]
            before = float(weight.detach())
            adam.step()
        moved.append((abs(float(weight.detach())), abs(float(weight.detach()) - before)))
    assert all(total <= reach for total, _ in moved)
    last = adamw_reach([0.0] * (steps - 1) + [1e-3], 1)
    assert moved[-1][1] == pytest.approx(last, rel=1e-3)
    assert last <= 7.28e-3
    assert adamw_reach([1e-3], 9) == pytest.approx(3e-3)


def test_weight_decay_adds_its_share_of_the_norm():
    plain = adamw_reach([1e-2] * 3, 4)
    decayed = adamw_reach([1e-2] * 3, 4, start=5.0, weight_decay=0.1)
    assert plain + 3 * 1e-3 * 5.0 < decayed < plain + 3 * 1e-3 * (5.0 + decayed)


def test_the_distance_of_descents_has_the_papers_closed_form_at_a_constant_rate():
    rate, smooth, share, gradient, until, then = 0.02, 3.0, 0.1, 4.0, 30, 20
    found = descent_distance([rate] * until, [rate] * then, share=share, gradient=gradient, smoothness=smooth)
    growth = 1 + rate * smooth
    assert found == pytest.approx(2 * share * gradient / smooth * (growth**until - 1) * growth**then)


def test_rates_are_those_of_the_schedule(kit):
    training = kit.replace(kit.make_problem().training, schedule="linear", warmup_share=0.5, batch_size=4)
    assert rates(kit.replace(training, learning_rate=1.0, epochs=2), 5) == pytest.approx([1 / 3, 2 / 3, 1.0, 0.5])


def rewound(kit, training=None, **limits):
    trained = kit.make_problem()
    trained.training = kit.replace(trained.training, **training or {})
    trained.retain, trained.artifacts_to_store = trained.forget + trained.retain, {}
    kit.run(plugins.load("trainings", "early_checkpoints"), trained)
    problem = kit.make_problem(**limits)
    problem.model.load_state_dict(trained.model.state_dict())
    problem.original_artifacts, problem.training = trained.artifacts_to_store, trained.training
    return problem


@contextmanager
def rates_taken():
    taken = []
    hook = register_optimizer_step_post_hook(lambda adam, *_: taken.append(adam.param_groups[0]["lr"]))
    yield taken
    hook.remove()


@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_both_guarantees_rest_on_the_rates_of_the_steps_that_are_taken(kit, schedule):
    training = {"schedule": schedule, "warmup_share": 0.3, "epochs": 10}
    with rates_taken() as original:
        problem = rewound(kit, training)
    with rates_taken() as after:
        kit.run(NoisyRewind(noise=0.01, gradient_bound=2.0, smoothness=5.0), problem)
    retrained = kit.make_problem()
    retrained.training = problem.training
    with rates_taken() as again:
        kit.run(Retrain(), retrained)
    before = original[:16]  # of 10 epochs of 4 steps, 0.4
    assert (len(original), len(after), len(again)) == (40, 18, 30)
    weights = sum(p.numel() for p in problem.model.parameters())
    apart = sum(adamw_reach(steps, weights) for steps in (before, after, again))
    distance = descent_distance(before, after, share=6 / 16, gradient=2.0, smoothness=5.0)
    expected = [epsilon_of(d / 0.01, 1e-5) for d in (apart, distance)]
    found = [float(value) for value in re.findall(r"epsilon = ([\d.e+]+)", problem.notes[0])]
    assert found == pytest.approx(expected, rel=1e-2)


def test_the_end_is_rewinds_plus_noise_and_the_row_states_both_guarantees(kit):
    noisy, plain = rewound(kit), rewound(kit)
    kit.run(NoisyRewind(noise=0.01, gradient_bound=2.0, smoothness=5.0), noisy)
    kit.run(Rewind(), plain)
    ends = [torch.cat([p.detach().flatten() for p in problem.model.parameters()]) for problem in (noisy, plain)]
    assert 0.005 < float((ends[0] - ends[1]).std()) < 0.015
    (note,) = noisy.notes
    sure, assumed = (float(value) for value in re.findall(r"epsilon = ([\d.e+]+)", note))
    assert sure > assumed > 0
    assert "no useful guarantee" in note
    assert "as given" in note


def test_what_is_not_given_is_measured_and_charged(kit):
    problem = rewound(kit)
    method = NoisyRewind()
    gradient, smoothness = method.constants(problem)
    assert problem.budget.samples == pytest.approx(2 * (6 + 10))
    largest = 0.0
    kit.assert_same(problem, kit.weights(rewound(kit).model))
    for weights in (problem.model.state_dict(), checkpoint(problem.original_artifacts, 0.4)):
        model = kit.TwoLayers()
        model.load_state_dict(weights)
        for batch in problem.forget.batches(1):
            loss = torch.nn.functional.cross_entropy(model(batch.features, None), batch.labels)
            found = torch.autograd.grad(loss, list(model.parameters()))
            largest = max(largest, math.sqrt(sum(float(g.square().sum()) for g in found)))
    assert gradient == pytest.approx(largest)
    assert smoothness > 0


@pytest.mark.parametrize(
    ("settings", "keep_epoch"), [({}, "last"), ({}, "best"), ({"gradient_bound": 2.0, "smoothness": 5.0}, "last")]
)
def test_the_noise_is_added_within_a_budget_of_whole_epochs(kit, settings, keep_epoch):
    training = {"epochs": 10, "keep_epoch": keep_epoch}
    noisy, plain = (rewound(kit, training, limit=50.0) for _ in range(2))
    method = NoisyRewind(noise=100.0, **settings)
    kit.run(method, noisy)
    kit.run(Rewind(), plain)
    (note,) = noisy.notes
    assert "noise of 100 on 43 weights" in note
    assert noisy.budget.samples <= 50.0
    assert plain.budget.samples == pytest.approx(50.0 if keep_epoch == "last" else 3 * (10 + 8 / 3))
    weights = torch.cat([p.detach().flatten() for p in noisy.model.parameters()])
    assert 50 < float(weights.std()) < 200


@pytest.mark.parametrize("limit", [2.0, 20.0])
def test_a_budget_that_measuring_spends_guarantees_nothing_and_leaves_the_model_unchanged(kit, limit):
    problem = rewound(kit, limit=limit)
    before = kit.weights(problem.model)
    outcome, _ = kit.run(NoisyRewind(), problem)
    kit.assert_same(problem, before)
    assert (outcome.stop_reason, outcome.steps, problem.notes) == ("budget", 0, [NO_NOISE])


def test_a_budget_that_ends_before_the_noise_guarantees_nothing(kit):
    problem = rewound(kit, limit=40.0)
    outcome, _ = kit.run(NoisyRewind(), problem, superloss=SuperLoss())
    assert outcome.stop_reason == "budget"
    assert problem.notes == [NO_NOISE]


def test_other_trainings_and_bad_settings_are_refused():
    method = NoisyRewind()
    assert "early_checkpoints" in method.reason_unsupported("standard", {})
    assert "keep_at" in NoisyRewind(share=0.3).reason_unsupported("early_checkpoints", {"keep_at": (0.2, 0.4)})
    assert not method.reason_unsupported("early_checkpoints", {"keep_at": (0.2, 0.4)})
    for settings, words in (
        ({"noise": 0.0}, "noise must be above 0, got 0"),
        ({"delta": 1.0}, "delta must be strictly between 0 and 1, got 1"),
        ({"share": 1.0}, "share must be strictly between 0 and 1, got 1"),
        ({"smoothness": -1.0}, "smoothness must be 0 or more, got -1"),
    ):
        with pytest.raises(ValueError, match=words):
            NoisyRewind(**settings)
