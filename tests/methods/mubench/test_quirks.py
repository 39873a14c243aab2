"""Raw-logit KL and corrupted labels, as in MU-Bench's code."""

from __future__ import annotations

import math

import pytest
import torch

from methods.engine.losses import distillation_loss
from methods.mubench.quirks import corrupted_labels, raw_logit_kl


def test_raw_logit_kl_takes_logits_for_probabilities():
    target, student = torch.tensor([[2.0, -3.0, 0.5]]), torch.tensor([[1.0, 4.0, -2.0]])
    expected = 2 * (math.log(2) - 1) + 0.5 * (math.log(0.5) + 2)  # nothing for the negative target
    assert raw_logit_kl(target, student).item() == pytest.approx(expected)
    positive = torch.tensor([[2.0, 0.5, 0.25]])
    reference = torch.nn.KLDivLoss(reduction="sum")(student, positive)
    torch.testing.assert_close(raw_logit_kl(positive, student).squeeze(), reference)


def test_raw_logit_kl_is_no_divergence():
    logits = torch.tensor([[4.0, 1.0, -2.0]], requires_grad=True)
    (at_identity,) = torch.autograd.grad(raw_logit_kl(logits.detach(), logits).sum(), logits)
    assert at_identity.tolist() == [[-4.0, -1.0, 0.0]]  # a true divergence is flat there
    (true,) = torch.autograd.grad(distillation_loss(logits.detach(), logits).sum(), logits)
    torch.testing.assert_close(true, torch.zeros(1, 3))
    assert raw_logit_kl(logits.detach(), logits + 100).item() < -400
    assert torch.isfinite(at_identity).all()


def test_shifted_labels_count_the_labels_of_the_retain_set(kit):
    problem = kit.make_problem()
    problem.retain = problem.retain.select(problem.retain.labels != 1)  # two labels are left of three
    rows, labels = corrupted_labels(problem, "shift")
    assert rows.tolist() == problem.forget.utterances.tolist()
    assert labels.tolist() == [(y + 1) % 2 for y in problem.forget.labels.tolist()]


def test_mirrored_labels_are_refused_where_one_maps_to_itself(kit):
    problem = kit.make_problem()
    with pytest.raises(ValueError, match="corruption: mirror maps the middle class of 3 classes to itself"):
        corrupted_labels(problem, "mirror")
    problem.num_classes = 4
    assert corrupted_labels(problem, "mirror")[1].tolist() == [3 - y for y in problem.forget.labels.tolist()]
