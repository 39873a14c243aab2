"""SalUn: the mask has the largest gradients, and masked weights never change."""

from __future__ import annotations

import torch

from methods.engine.gradients import summed_gradient
from methods.engine.losses import label_loss
from methods.random_label import RandomLabel
from methods.salun import SalUn, saliency_mask


def test_saliency_mask_keeps_the_largest_share_globally():
    generator = torch.Generator().manual_seed(0)
    gradients = {"a": torch.randn(40, 5, generator=generator), "b": torch.randn(100, generator=generator) * 10}
    before = {name: gradient.clone() for name, gradient in gradients.items()}
    for share in (0.1, 0.5, 0.7, 1.0):
        masks = saliency_mask(gradients, share)
        assert all(torch.equal(gradients[name], before[name]) for name in gradients)
        chosen = torch.cat([m.flatten() for m in masks.values()])
        magnitudes = torch.cat([g.abs().flatten() for g in gradients.values()])
        assert chosen.sum() == round(share * 300)
        if share < 1:
            assert magnitudes[chosen].min() > magnitudes[~chosen].max()


def test_salun_masks_by_the_summed_gradient_of_the_forget_set(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    batch = kit.whole(problem.forget)
    loss = label_loss(model(batch.features, batch.lengths), batch.labels).sum()
    expected = torch.autograd.grad(loss, list(model.parameters()))
    found = summed_gradient(problem, problem.forget, batch_size=4)
    for got, wanted in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(got, wanted)


def test_salun_never_moves_masked_weights_under_adamw_with_weight_decay(kit):
    problem = kit.make_problem()
    before = kit.weights(problem.model)
    masks = saliency_mask(summed_gradient(problem, problem.forget, 32), 0.5)
    method = SalUn(learning_rate=1e-2, epochs=4, batch_size=4)

    class Decaying(SalUn):
        def passes(self, problem):
            from dataclasses import replace

            for current in method.passes(problem):
                yield replace(current, weight_decay=0.5)

    kit.run(Decaying(), problem)
    after = kit.weights(problem.model)
    for name, mask in masks.items():
        assert torch.equal(after[name][~mask], before[name][~mask])
        assert (after[name][mask] != before[name][mask]).all()


def test_salun_with_a_full_mask_is_random_label(kit):
    ends = []
    for method in (
        SalUn(saliency_share=1.0, epochs=2, learning_rate=1e-2),
        RandomLabel(redraw=True, epochs=2, learning_rate=1e-2),
    ):
        problem = kit.make_problem()
        kit.run(method, problem)
        ends.append(kit.weights(problem.model))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
