from __future__ import annotations

import pytest
import torch

from methods.delete import Delete, without_labels
from methods.engine.losses import distillation_loss


def test_the_target_has_nothing_on_the_label_and_keeps_the_ratios_of_the_others():
    logits = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, -1.0, 5.0, 2.0]], dtype=torch.float64)
    p = logits.softmax(dim=-1)
    target = without_labels(logits, torch.tensor([3, 0]), ()).softmax(dim=-1)
    assert target[0, 3] == 0
    assert target[1, 0] == 0
    torch.testing.assert_close(target[0, :3], p[0, :3] / (1 - p[0, 3]))
    torch.testing.assert_close(target[1, 1:], p[1, 1:] / (1 - p[1, 0]))


def test_all_forgotten_classes_are_taken_out_of_the_target():
    target = without_labels(torch.zeros(2, 5, dtype=torch.float64), torch.tensor([1, 4]), (1, 4)).softmax(dim=-1)
    torch.testing.assert_close(target, torch.tensor([[1, 0, 1, 1, 0]] * 2, dtype=torch.float64) / 3)


def test_says_when_no_class_is_left_to_teach():
    with pytest.raises(ValueError, match="no class is left to teach: 2 classes, of which 1 are forgotten"):
        without_labels(torch.zeros(1, 2), torch.tensor([0]), (1,))


def test_at_the_start_the_loss_is_that_of_the_labels_absence(kit):
    """KL(p₀ without y ‖ p₀) = −log(1 − p₀(y))."""
    problem = kit.make_problem()
    batch = next(problem.forget.batches(64))
    (only,) = Delete().passes(problem)
    p = problem.teacher(batch.features, batch.lengths).softmax(dim=-1)[torch.arange(6), batch.labels]
    torch.testing.assert_close(only.loss(problem.model, batch).detach(), -torch.log(1 - p).detach())


def test_takes_the_step_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    batch = next(problem.forget.batches(64))
    student = model(batch.features, batch.lengths)
    target = student.detach().softmax(dim=-1)
    target[torch.arange(6), batch.labels] = 0
    target /= target.sum(dim=-1, keepdim=True)
    loss = -(target * student.log_softmax(dim=-1)).sum(dim=-1).mean()  # the target's entropy has no gradient
    expected = kit.adamw_first_step(model, loss, 1e-3)
    kit.run(Delete(learning_rate=1e-3, epochs=1, batch_size=64), problem)
    for name, value in kit.weights(problem.model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-7, atol=1e-10)


def test_it_ends_at_the_original_without_the_label(kit):
    problem = kit.make_problem()
    kit.run(Delete(learning_rate=2e-2, epochs=400), problem)
    batch = next(problem.forget.batches(64))
    target = without_labels(problem.teacher(batch.features, batch.lengths), batch.labels, ())
    assert distillation_loss(target, problem.model(batch.features, batch.lengths)).max() < 0.05


def test_iterates_over_the_forget_set_alone(kit):
    problem = kit.make_problem()
    kit.run(Delete(epochs=5), problem)
    assert problem.budget.samples == 5 * 6
