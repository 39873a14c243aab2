from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import lambertw

from methods.modifiers.superloss import MUBENCH, SuperLoss, SuperLossWeights, lambert_w, superloss_weight


def test_lambert_w_equals_scipy_from_the_branch_point_on():
    x = np.concatenate([-1 / math.e + np.logspace(-12, -0.5, 40), np.linspace(-0.3, 0.3, 41), np.logspace(0, 6, 40)])
    np.testing.assert_allclose(lambert_w(torch.from_numpy(x)).numpy(), lambertw(x).real, rtol=1e-9, atol=2e-6)


@pytest.mark.parametrize(
    ("excess", "sigma"), [(0.0, 1.0), (-2 / math.e, math.e), (-5.0, math.e), (2 * math.e, 1 / math.e)]
)
def test_weight_at_the_known_points(excess: float, sigma: float):
    weight = superloss_weight(torch.tensor([3.0 + excess], dtype=torch.float64), tau=3.0, strength=1.0)
    assert weight.item() == pytest.approx(sigma, rel=1e-6)


def test_weight_equals_the_formula_with_scipys_lambert_w():
    loss = torch.linspace(0, 12, 60, dtype=torch.float64)
    for tau, strength in ((1.0, 0.25), (2.5, 1.0), (2.5, 10.0)):
        inner = 0.5 * np.maximum(-2 / math.e, (loss.numpy() - tau) / strength)
        expected = np.exp(-np.nan_to_num(lambertw(inner).real, nan=-1.0))  # SciPy gives NaN at the branch point itself
        np.testing.assert_allclose(superloss_weight(loss, tau, strength).numpy(), expected, rtol=1e-6)


def test_weight_minimizes_superloss():
    loss, tau, strength = torch.tensor([2.0], dtype=torch.float64), 0.5, 1.0
    best = superloss_weight(loss, tau, strength)

    def superloss(sigma: torch.Tensor) -> torch.Tensor:
        return (loss - tau) * sigma + strength * sigma.log() ** 2

    assert all(superloss(best) <= superloss(best * factor) for factor in (0.9, 0.99, 1.01, 1.1))


def test_weight_carries_no_gradient():
    loss = torch.tensor([1.0, 2.0], requires_grad=True)
    assert not superloss_weight(loss, 1.5, 1.0).requires_grad


def test_only_the_forget_set_is_weighted_unless_all_is_requested():
    loss, is_forget = torch.tensor([1.0, 3.0, 1.0, 3.0]), torch.tensor([True, True, False, False])
    assert SuperLossWeights(SuperLoss(), 3).weights(loss, is_forget)[2:].tolist() == [1.0, 1.0]
    assert SuperLossWeights(SuperLoss(over="all"), 3).weights(loss, is_forget)[3] < 1.0


def test_tau_follows_its_rule():
    batches = [torch.tensor([1.0, 3.0]), torch.tensor([5.0, 5.0])]
    is_forget = torch.tensor([True, True])
    taus = {}
    for rule in ("moving_average", "global", "fixed"):
        curriculum = SuperLossWeights(SuperLoss(tau=rule), num_classes=10)
        for loss in batches:
            curriculum.weights(loss, is_forget)
        taus[rule] = float(curriculum._tau.get(True, math.log(10)))
    assert taus == {
        "moving_average": pytest.approx(0.9 * 2 + 0.1 * 5),
        "global": pytest.approx(3.5),
        "fixed": math.log(10),
    }


@pytest.mark.parametrize("wrong", [{"strength": 0.0}, {"tau": "median"}, {"momentum": 1.0}, {"over": "retain"}])
def test_wrong_settings_are_refused(wrong: dict):
    with pytest.raises(ValueError, match="superloss"):
        SuperLoss(**wrong)


def test_mubench_tau_divides_past_losses_by_past_weights_and_has_one_for_both_sets():
    batches = [torch.tensor([1.0, 3.0, 20.0]), torch.tensor([5.0, 0.5, 9.0]), torch.tensor([2.0, 2.0, 2.0])]
    is_forget = torch.tensor([True, False, False])
    curriculum, losses, weights = SuperLossWeights(MUBENCH, num_classes=10), 0.0, 0.0
    for loss in batches:
        tau = losses / weights if weights else float(loss.mean())
        expected = superloss_weight(loss, tau, strength=10.0)
        torch.testing.assert_close(curriculum.weights(loss, is_forget), expected)
        losses, weights = losses + float(loss.sum()), weights + float(expected.sum())
    assert losses / weights != pytest.approx(losses / 9, rel=1e-2)  # no average of losses


def test_mubench_weights_are_almost_flat():
    excess = torch.tensor([-2.0, -0.5, 0.5, 1.0, 2.0, 5.0, 10.0], dtype=torch.float64)
    found = superloss_weight(3.0 + excess, 3.0, MUBENCH.strength)
    assert found.tolist() == pytest.approx([1.118, 1.026, 0.976, 0.953, 0.913, 0.816, 0.703], abs=5e-4)


def test_shuffled_weights_come_from_earlier_batches_too_and_are_as_large_on_the_whole():
    """In small batches alone most of D_f would keep its own weight."""
    generator = torch.Generator().manual_seed(0)
    control = SuperLossWeights(SuperLoss(shuffled=True), 10, torch.Generator().manual_seed(1))
    treatment, is_forget = SuperLossWeights(SuperLoss(), 10), torch.tensor([True, True])
    own, dealt = [], []
    for _ in range(500):
        loss = 3 * torch.rand(2, generator=generator)
        own.append(treatment.weights(loss, is_forget))
        dealt.append(control.weights(loss, is_forget))
    own, dealt = torch.cat(own), torch.cat(dealt)
    assert float((own == dealt).double().mean()) < 0.1
    assert abs(float(torch.corrcoef(torch.stack([own, dealt]))[0, 1])) < 0.15
    assert float(dealt.mean()) == pytest.approx(float(own.mean()), rel=0.05)
    assert set(dealt.tolist()) <= set(own.tolist())


def test_shuffled_weights_are_the_same_ones_at_other_places_of_their_own_set():
    loss = torch.tensor([0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 0.2, 4.0])
    is_forget = torch.tensor([True, False] * 4)
    plain = SuperLossWeights(SuperLoss(over="all"), 10).weights(loss, is_forget)
    generator = torch.Generator().manual_seed(0)
    shuffled = SuperLossWeights(SuperLoss(over="all", shuffled=True), 10, generator).weights(loss, is_forget)
    assert not torch.equal(shuffled, plain)
    for part in (is_forget, ~is_forget):
        assert torch.equal(shuffled[part].sort().values, plain[part].sort().values)
