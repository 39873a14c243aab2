from __future__ import annotations

import torch

from methods.engine.losses import distillation_loss, label_loss


def logits(seed: int, rows: int = 50, classes: int = 7) -> torch.Tensor:
    return torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3


def test_distillation_loss_is_never_negative():
    assert (distillation_loss(logits(0), logits(1), 4.0) >= 0).all()


def test_distillation_loss_is_zero_where_student_equals_teacher():
    assert distillation_loss(logits(0), logits(0) + 5.0, 2.0).abs().max() < 1e-12  # softmax ignores the shift


def test_distillation_loss_equals_the_formula():
    teacher, student, temperature = logits(2), logits(3), 4.0
    t, s = torch.softmax(teacher / temperature, -1), torch.softmax(student / temperature, -1)
    expected = temperature**2 * (t * (t / s).log()).sum(-1)
    torch.testing.assert_close(distillation_loss(teacher, student, temperature), expected)


def test_label_loss_is_minus_log_probability():
    z, y = logits(4), torch.arange(50) % 7
    torch.testing.assert_close(label_loss(z, y), -torch.log_softmax(z, -1)[torch.arange(50), y])
