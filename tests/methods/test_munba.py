"""MUNBa: the bargain is Nash's, computed another way; the two gradients are each set's own, in micro-batches too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from methods.base import Method, Pass
from methods.engine.losses import cross_entropy, label_loss
from methods.modifiers.superloss import SuperLoss, superloss_weight
from methods.munba import NO_BARGAIN, Munba, Together, bargain


def gradients(seed):
    generator = torch.Generator().manual_seed(seed)
    return [[torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((3, 2), (4,))] for _ in "fr"]


def flat(parts):
    return torch.cat([part.flatten() for part in parts]).numpy()


@pytest.mark.parametrize("seed", range(4))
def test_the_bargain_is_the_product_of_gains_at_its_largest(seed):
    forget, retain = gradients(seed)
    g_f, g_r = 30 * flat(forget), flat(retain)  # lengths do not matter
    step = flat(bargain([30 * g for g in forget], retain))

    def lost(d):
        unit = d / np.linalg.norm(d)
        gains = unit @ g_f, unit @ g_r
        return -sum(np.log(max(gain, 1e-12)) for gain in gains)

    found = minimize(lost, g_f / np.linalg.norm(g_f) + g_r / np.linalg.norm(g_r) + 0.1, method="BFGS").x
    np.testing.assert_allclose(step / np.linalg.norm(step), found / np.linalg.norm(found), atol=1e-4)
    assert np.linalg.norm(step) == pytest.approx(np.sqrt(2))
    assert (step @ g_f) / np.linalg.norm(g_f) == pytest.approx((step @ g_r) / np.linalg.norm(g_r))


@pytest.mark.parametrize("scale", [-2.0, 0.0])
def test_without_a_bargain_the_step_is_on_the_retain_set(scale):
    retain = gradients(0)[1]
    step = flat(bargain([scale * g for g in retain], retain))
    np.testing.assert_allclose(step, flat(retain) * (1 + NO_BARGAIN * scale))


@pytest.mark.parametrize("scales", [(1e-25, 1.0), (1.0, 1e-25), (1e-25, 1e-25), (0.0, 0.0)])
def test_gradients_whose_squares_underflow_leave_a_finite_step_on_the_retain_set(scales):
    forget, retain = ([(scale * g).float() for g in part] for scale, part in zip(scales, gradients(0), strict=True))
    expected = flat(retain) + NO_BARGAIN * flat(forget)
    np.testing.assert_allclose(flat(bargain(forget, retain)), expected, rtol=1e-6)


@dataclass(frozen=True, kw_only=True)
class Recorded(Method):
    """A pass over both sets at once, whose combined gradients are kept."""

    label = "test"
    version = 1
    kept: list

    def passes(self, problem) -> Iterator[Pass]:
        def combine(forget, retain):
            self.kept.append([[g.clone() for g in side] for side in (forget, retain)])
            return [2 * f + 3 * r for f, r in zip(forget, retain, strict=True)]

        def remember(model):
            self.kept[-1].append([p.grad.clone() for p in model.parameters()])

        yield Pass(
            name="p", over=Together(problem.forget, problem.retain), loss=cross_entropy, learning_rate=1e-2,
            batch_size=64, combine=combine, before_step=remember, retain_weight=0.5,
        )  # fmt: skip


@pytest.mark.parametrize("superloss", [None, SuperLoss(tau="fixed", over="all")])
@pytest.mark.parametrize("micro_batch", [None, 1, 4])
def test_a_pass_combines_the_gradients_of_two_means(kit, micro_batch, superloss):
    problem, model, kept = kit.make_problem(), kit.TwoLayers(), []
    kit.run(Recorded(kept=kept), problem, micro_batch=micro_batch, superloss=superloss)
    expected = []
    for utterances, weight in ((problem.forget, 1.0), (problem.retain, 0.5)):
        batch = kit.whole(utterances)
        losses = label_loss(model(batch.features, batch.lengths), batch.labels)
        sigma = superloss_weight(losses, float(np.log(3)), 1.0) if superloss else 1.0
        expected.append(torch.autograd.grad(weight * (sigma * losses).mean(), list(model.parameters())))
    expected.append([2 * f + 3 * r for f, r in zip(*expected, strict=True)])
    for found, wanted in zip(kept[0], expected, strict=True):
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    assert problem.budget.samples == pytest.approx(len(problem.forget) + len(problem.retain))


@pytest.mark.parametrize(("forget", "retain"), [(6, 10), (10, 6)])
def test_an_epoch_has_each_utterance_of_both_sets_once(kit, forget, retain):
    sets = kit.make_sets(forget=forget, retain=retain)[:2]
    together = Together(*sets)
    seen = list(together.batches(3, torch.Generator().manual_seed(0)))
    assert sorted(torch.cat([b.utterances for b in seen]).tolist()) == list(range(16))
    assert len(together) == 16
    assert [bool(b.is_forget.any()) and not bool(b.is_forget.all()) for b in seen] == [True, True] + [False] * (
        len(seen) - 2
    )


def test_labels_of_the_forget_set_are_wrong_and_drawn_anew(kit):
    problem = kit.make_problem()
    first, second = Munba(epochs=2).passes(problem)
    batch = kit.whole(problem.forget)
    losses = [p.loss(problem.model, batch) for p in (first, second)]
    logits = problem.model(batch.features, batch.lengths)
    options = torch.stack([label_loss(logits, torch.full_like(batch.labels, c)) for c in range(3)], dim=1)
    for loss in losses:
        chosen = (options - loss[:, None]).abs().argmin(dim=1)
        assert not bool((chosen == batch.labels).any())
    assert not torch.equal(*losses)
    assert first.combine is bargain


@pytest.mark.parametrize("kind", ["class", "mislabeled"])
def test_forgets_a_planted_set_and_keeps_the_rest(kit, kind):
    problem = kit.planted(kind)
    before = problem.accuracy(problem.model)
    kit.run(Munba(rate_share=1.0, epochs=5, batch_size=16), problem, clip_norm=1.0)
    after = problem.accuracy(problem.model)
    assert before[0] == 1.0
    assert after[0] <= 0.35
    assert after[1] >= before[1] - 0.05
