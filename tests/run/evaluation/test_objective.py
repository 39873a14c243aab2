from __future__ import annotations

import pytest
import torch

from methods.base import UtteranceSet
from orchestrator.run.evaluation.answers import rewind_target
from orchestrator.run.evaluation.objective import objective_of


def test_rewind_is_zero_at_the_target_and_never_rewards_a_destroyed_model():
    target = {"f": 0.9, "v": 0.92}
    assert objective_of("rewind", {"f": 0.9, "v": 0.92}, target) == 0
    destroyed = objective_of("rewind", {"f": 0.1, "v": 0.1}, target)
    untouched = objective_of("rewind", {"f": 1.0, "v": 0.92}, target)
    assert destroyed > untouched > 0


def test_gap_to_retrain_is_the_mean_absolute_gap():
    now, target = {"f": 0.9, "r": 0.8, "v": 0.7}, {"f": 0.6, "r": 0.9, "v": 0.7}
    assert objective_of("gap_to_retrain", now, target) == pytest.approx((0.3 + 0.1) / 3)


def test_the_authors_score_rewards_zero_accuracy_on_the_forget_set():
    assert objective_of("authors", {"f": 0.0, "v": 1.0}, {}) == 0.0
    assert objective_of("authors", {"f": 1.0, "v": 1.0}, {}) == 0.5


class Problem:
    """What the rewind target reads of a problem."""

    num_classes = 2

    def __init__(self, forgotten=()):
        def fetch(rows):
            return rows, rows

        self.forgotten_classes = forgotten
        self.forget = UtteranceSet(torch.arange(4), torch.tensor([0, 0, 0, 1]), torch.ones(4, dtype=torch.bool), fetch)
        self.validation = UtteranceSet(
            torch.arange(4, 8), torch.tensor([0, 0, 1, 1]), torch.zeros(4, dtype=torch.bool), fetch
        )


def test_the_rewind_reference_has_the_forget_sets_mix_of_classes():
    logits = torch.zeros(8, 2)
    logits[4:6, 0] = 1.0  # class 0 right twice
    logits[6, 1], logits[7, 0] = 1.0, 1.0  # class 1 right once in two
    target = rewind_target(Problem(), logits)
    assert target["v"] == pytest.approx(0.75)
    assert target["f"] == pytest.approx((3 * 1.0 + 1 * 0.5) / 4)


def test_a_forgotten_class_is_to_be_at_zero():
    assert rewind_target(Problem(forgotten=(0, 1)), torch.zeros(8, 2))["f"] == 0.0
    assert rewind_target(Problem(forgotten=(1,)), torch.zeros(8, 2))["f"] == pytest.approx(3 / 4)  # class 0 is right


def test_mislabeled_speech_is_to_be_as_wrong_as_unseen_mislabeled_speech():
    logits = torch.zeros(8, 2)
    logits[4:6, 0], logits[6, 1], logits[7, 0] = 1.0, 1.0, 1.0  # three of four right: a wrong label is met once in four
    assert rewind_target(Problem(), logits, mislabeled=True)["f"] == pytest.approx(0.25)
