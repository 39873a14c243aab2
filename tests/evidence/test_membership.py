"""Membership attacks on synthetic outputs whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from orchestrator.evidence.accuracy import cross_entropy
from orchestrator.evidence.membership import label_confidence, loss_attack, svc_nonmember_share


def draw(seed: int, size: int, mean: float = 0.0) -> np.ndarray:
    """Gaussian values as confidences of a made-up model, squeezed into 0-1."""
    return norm.cdf(np.random.default_rng(seed).normal(mean, 1.0, size))


def kernel_decision(attacker: SVC, x: np.ndarray) -> np.ndarray:
    """The decision function written out: Σ α_i exp(−γ (x − x_i)²) + b, with γ = 1 / number of features = 1."""
    support = attacker.support_vectors_[:, 0]
    return np.exp(-((x[:, None] - support[None]) ** 2)) @ attacker.dual_coef_[0] + attacker.intercept_[0]


def test_label_confidence_is_the_softmax_probability_of_the_label() -> None:
    losses = cross_entropy(np.log([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]]) + 50.0, np.array([2, 1]))
    assert label_confidence(losses) == pytest.approx([0.7, 0.25])


def test_forget_confidences_like_the_nonmembers_are_called_nonmembers() -> None:
    retain, others = np.full(200, 0.99), np.full(200, 0.2)
    assert svc_nonmember_share(np.full(50, 0.2), retain, others, seed=0) == 1.0
    assert svc_nonmember_share(np.full(50, 0.99), retain, others, seed=0) == 0.0


def test_svc_share_lies_within_its_binomial_interval_of_the_known_answer() -> None:
    # Uniform members on (0.5, 1) and non-members on (0, 0.5): the border is 0.5, and D_f has 30 % below it.
    rng = np.random.default_rng(1)
    retain, others = rng.uniform(0.5, 1, 2000), rng.uniform(0, 0.5, 2000)
    forget = np.where(rng.random(2000) < 0.3, rng.uniform(0, 0.45, 2000), rng.uniform(0.55, 1, 2000))
    share = svc_nonmember_share(forget, retain, others, seed=0)
    assert abs(share - 0.3) < 3 * math.sqrt(0.3 * 0.7 / 2000)


def test_svc_share_equals_the_kernel_expansion_computed_directly() -> None:
    retain, others, forget = draw(1, 120, 0.8), draw(2, 120, -0.3), draw(3, 77, 0.2)
    attacker = SVC(C=3, gamma=1.0, kernel="rbf").fit(
        np.concatenate([retain, others])[:, None], np.repeat([1, 0], 120)
    )  # equal sizes and no cap: the draw is a permutation, which the fit does not see
    direct = float(np.mean(kernel_decision(attacker, forget) < 0))
    assert svc_nonmember_share(forget, retain, others, seed=5) == pytest.approx(direct, abs=1 / 77)
    assert 0.05 < direct < 0.95


def test_svc_optimum_satisfies_the_dual_conditions() -> None:
    retain, others = draw(1, 60, 0.8), draw(2, 60, -0.3)
    x, y = np.concatenate([retain, others]), np.repeat([1.0, -1.0], 60)
    attacker = SVC(C=3, gamma="auto", kernel="rbf").fit(x[:, None], y)
    alphas = np.zeros(120)
    alphas[attacker.support_] = np.abs(attacker.dual_coef_[0])
    margins, tolerance = y * kernel_decision(attacker, x), 2e-3
    at_bound = alphas > 3 - 1e-9
    free = (alphas > 0) & ~at_bound
    assert alphas @ y == pytest.approx(0, abs=1e-6)
    assert alphas.max() <= 3 + 1e-9
    assert margins[at_bound].max() <= 1 + tolerance  # on the margin or past it
    assert margins[free] == pytest.approx(1.0, abs=tolerance)
    assert margins[alphas == 0].min() >= 1 - tolerance
    assert free.any()
    assert (alphas == 0).any()


def test_svc_trains_on_equal_sizes_whatever_the_retain_set_holds() -> None:
    # With 10,000 members against 200 non-members an unbalanced SVC would call nearly everything a member.
    share = svc_nonmember_share(draw(3, 400), draw(1, 10_000), draw(2, 200), seed=0)
    assert 0.1 < share < 0.9


def test_the_cap_bounds_both_sides_and_the_seed_fixes_the_draw() -> None:
    retain, others, forget = draw(1, 3000, 1.0), draw(2, 3000), draw(3, 500, 0.5)
    first, again = (svc_nonmember_share(forget, retain, others, seed=7, cap=100) for _ in range(2))
    assert first == again
    assert len({svc_nonmember_share(forget, retain, others, seed=s, cap=20) for s in range(5)}) > 1
    with pytest.raises(ValueError, match="got 0"):
        svc_nonmember_share(forget, retain, others, seed=0, cap=0)


def test_svc_share_is_nan_for_an_empty_set_and_for_a_diverged_model() -> None:
    some, none = draw(1, 10), np.empty(0)
    assert all(math.isnan(svc_nonmember_share(*sets, seed=0)) for sets in ((none, some, some), (some, none, some)))
    assert math.isnan(svc_nonmember_share(np.array([np.nan]), some, some, seed=0))


@pytest.mark.parametrize("seed", range(3))
def test_identical_distributions_give_an_auc_of_one_half(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, 800)
    attack = loss_attack(rng.exponential(size=800), labels, rng.exponential(size=800), labels, seed=seed)
    spread = math.sqrt((2 * attack.pairs + 1) / (12 * attack.pairs**2))  # of a Mann-Whitney AUC under the null
    assert abs(attack.auc - 0.5) < 4 * spread
    assert abs(attack.accuracy - 0.5) < 4 * 0.5 / math.sqrt(2 * attack.pairs)


@pytest.mark.parametrize(("pairs", "draws"), [(12, 30), (24, 30), (96, 20), (960, 6)])
def test_losses_that_differ_by_class_alone_give_half_on_average(pairs: int, draws: int) -> None:
    labels = np.arange(pairs) % 12
    levels = np.linspace(0.0, 6.0, 12)[labels]  # every class has its own loss
    attacks = []
    for draw_number in range(draws):
        rng = np.random.default_rng([pairs, draw_number])
        forget, others = levels + rng.normal(size=pairs), levels + rng.normal(size=pairs)
        attacks.append(loss_attack(forget, labels, others, labels, seed=draw_number))
    for values in ([attack.auc for attack in attacks], [attack.accuracy for attack in attacks]):
        error = float(np.std(values, ddof=1)) / math.sqrt(draws)
        assert abs(float(np.mean(values)) - 0.5) < 4 * error


def test_separated_losses_are_told_apart_without_error() -> None:
    labels = np.repeat(np.arange(4), 25)
    low, high = np.linspace(0.0, 0.1, 100), np.linspace(3.0, 4.0, 100)
    for forget, others in ((low, high), (high, low)):  # over-unlearning gives D_f away just as well
        attack = loss_attack(forget, labels, others, labels, seed=0)
        assert (attack.auc, attack.accuracy) == (1.0, 1.0)


def test_auc_of_shifted_gaussians_is_the_known_one() -> None:
    rng, labels = np.random.default_rng(0), np.zeros(4000, dtype=np.int64)
    attack = loss_attack(rng.normal(0, 1, 4000), labels, rng.normal(1, 1, 4000), labels, seed=0)
    assert attack.auc == pytest.approx(norm.cdf(1 / math.sqrt(2)), abs=0.02)  # P(X < Y) for N(0,1), N(1,1)
    assert attack.accuracy == pytest.approx(norm.cdf(0.5), abs=0.02)  # threshold half-way


def test_tiny_losses_are_told_apart_where_an_unscaled_regression_sees_nothing() -> None:
    labels = np.zeros(200, dtype=np.int64)
    low, high = np.linspace(1e-6, 2e-6, 200), np.linspace(8e-6, 9e-6, 200)
    unscaled = LogisticRegression().fit(np.concatenate([low, high])[:, None], np.repeat([1, 0], 200))
    assert unscaled.score(low[:, None], np.ones(200)) in (0.0, 1.0)  # one answer for all
    assert loss_attack(low, labels, high, labels, seed=0).accuracy == 1.0


def test_matching_by_class_removes_a_difference_that_is_only_one_of_classes() -> None:
    # Loss depends on the class alone; D_f holds mostly hard classes, non-members mostly easy ones.
    rng = np.random.default_rng(0)
    forget_labels, other_labels = np.repeat([0, 1], [100, 900]), np.repeat([0, 1], [900, 100])
    forget, others = (labels * 5.0 + rng.normal(size=1000) for labels in (forget_labels, other_labels))
    attack = loss_attack(forget, forget_labels, others, other_labels, seed=0)
    assert attack.pairs == 200
    assert abs(attack.auc - 0.5) < 0.12


def test_classes_without_nonmembers_are_left_out() -> None:
    attack = loss_attack(np.arange(6.0), np.array([0, 0, 0, 1, 1, 1]), np.arange(3.0), np.array([0, 0, 2]), seed=0)
    assert attack.pairs == 2


def test_infinite_losses_are_clipped_and_nan_ones_are_not_hidden() -> None:
    labels = np.zeros(20, dtype=np.int64)
    endless = loss_attack(np.full(20, np.inf), labels, np.zeros(20), labels, seed=0)
    assert endless.auc == 1.0
    broken = loss_attack(np.full(20, np.nan), labels, np.zeros(20), labels, seed=0)
    assert math.isnan(broken.auc)


def test_too_few_pairs_give_nan_and_say_how_many() -> None:
    attack = loss_attack(np.array([0.1]), np.array([3]), np.array([0.2]), np.array([3]), seed=0)
    assert math.isnan(attack.auc)
    assert attack.pairs == 1
