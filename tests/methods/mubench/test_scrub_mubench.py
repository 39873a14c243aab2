"""The preset of SCRUB: ascent, then descent, on raw logits."""

from __future__ import annotations

import pytest
import torch

from methods.engine.loop import Diverged
from methods.engine.losses import label_loss
from methods.mubench.quirks import raw_logit_kl
from methods.mubench.scrub_mubench import ScrubMubench


def test_scrub_ascends_first_then_descends_each_with_its_own_optimizer(kit):
    ascend, descend = ScrubMubench(epochs=5).passes(kit.make_problem())
    assert (ascend.name, ascend.epochs, ascend.forget_sign) == ("max", 2, -1.0)
    assert (descend.name, descend.epochs, descend.optimizer) == ("min", 3, "fresh")
    assert bool(ascend.over.is_forget.all())
    assert not bool(descend.over.is_forget.any())


def test_scrub_takes_its_min_step_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    batch = kit.whole(problem.retain)
    student = model(batch.features, batch.lengths)
    kl = raw_logit_kl(problem.teacher(batch.features, batch.lengths).detach(), student)
    loss = (label_loss(student, batch.labels) + kl).mean()
    expected = kit.adamw_first_step(model, loss, 0.5 * 1e-3)
    kit.run(ScrubMubench(learning_rate=1e-3, batch_size=64, epochs=1), problem)
    kit.assert_same(problem, expected)


def test_scrub_moves_away_at_identity_where_a_divergence_would_not(kit):
    problem = kit.make_problem()
    (ascend, _) = ScrubMubench().passes(problem)
    batch = kit.whole(problem.forget)
    gradients = torch.autograd.grad(ascend.loss(problem.model, batch).sum(), list(problem.model.parameters()))
    assert max(float(g.abs().max()) for g in gradients) > 0.1


def test_a_teacher_that_is_not_finite_ends_as_diverged(kit):
    problem = kit.make_problem()
    problem.teacher_logits = lambda batch: torch.full((len(batch), 3), torch.nan, dtype=torch.float64)
    with pytest.raises(Diverged):
        kit.run(ScrubMubench(), problem)
