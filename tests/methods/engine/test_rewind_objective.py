from __future__ import annotations

import pytest
import torch

from methods.engine.rewind_objective import Aim, rewind_aim


def test_the_distance_is_zero_at_the_aim_and_a_better_validation_accuracy_is_no_loss():
    aim = Aim(forget=0.6, validation=0.9)
    assert aim.distance(0.6, 0.9) == aim.distance(0.6, 1.0) == 0
    assert aim.distance(0.4, 0.8) == pytest.approx((0.2 + 0.1) / 2)


def test_the_aim_is_the_originals_accuracy_on_unseen_speech_of_the_forget_sets_classes(kit):
    problem = kit.make_problem()
    problem.forget = kit.replace(problem.forget, labels=torch.zeros(6, dtype=torch.long))
    correct = problem.validation.labels == 0
    assert rewind_aim(correct, problem, mislabeled=False).forget == 1.0
    assert rewind_aim(~correct, problem, mislabeled=False).forget == 0.0
    wrong = rewind_aim(correct, problem, mislabeled=True)
    assert wrong.forget == pytest.approx((1 - wrong.validation) / 2)
    problem.forgotten_classes = (0,)
    assert rewind_aim(correct, problem, mislabeled=False).forget == 0.0
