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


def with_labels(kit, forget, validation, forgotten):
    problem = kit.make_problem(forget=len(forget), validation=len(validation))
    problem.forget = kit.replace(problem.forget, labels=torch.tensor(forget))
    problem.validation = kit.replace(problem.validation, labels=torch.tensor(validation))
    problem.forgotten_classes = forgotten
    return problem


def test_a_sample_after_a_class_was_forgotten_aims_at_unseen_speech_like_it(kit):
    problem = with_labels(kit, [0, 1, 0, 1], [0, 0, 1, 1], forgotten=(2,))
    right = torch.tensor([True, True, True, False])
    assert rewind_aim(right, problem, mislabeled=False) == Aim(forget=0.75, validation=0.75)
    assert rewind_aim(right, problem, mislabeled=True).forget == pytest.approx(0.125)  # of two wrong labels
    problem.forgotten_classes = (0, 1)
    assert rewind_aim(right, problem, mislabeled=False).forget == 0.0


def test_each_utterance_of_a_forgotten_class_lowers_the_aim_by_its_share(kit):
    problem = with_labels(kit, [0, 1, 2, 2], [0, 0, 1, 1], forgotten=(2,))
    right = torch.tensor([True, True, True, False])
    assert rewind_aim(right, problem, mislabeled=False).forget == pytest.approx((1 + 0.5 + 0 + 0) / 4)


def test_without_unseen_speech_of_the_forget_sets_classes_the_aim_is_the_accuracy_on_all(kit):
    problem = with_labels(kit, [0], [1, 1, 2, 2], forgotten=())
    right = torch.tensor([True, True, True, False])
    assert rewind_aim(right, problem, mislabeled=False) == Aim(forget=0.75, validation=0.75, by_class=False)
