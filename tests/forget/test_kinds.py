"""Answers of either kind of model are read by one interface: scores of members, and what a removal costs."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.forget.kinds import KINDS

LABELS = np.zeros(2, dtype=np.int64)


def test_the_wer_of_several_recordings_is_pooled_over_their_words() -> None:
    answers = np.array([[0.1, 1.0, 2.0], [0.5, 0.0, 8.0]])
    kind = KINDS["transcripts"]
    assert kind.shown(answers, LABELS) == pytest.approx(0.1)
    worse = answers + np.array([[0, 1, 0], [0, 0, 0]])
    assert kind.lost(answers, worse, LABELS) == pytest.approx(0.1)
    assert kind.scores(answers, LABELS, ["a", "b"], "loss").tolist() == [-0.1, -0.5]


def test_one_word_that_is_decoded_in_another_way_is_no_difference_but_another_loss_is() -> None:
    kind, answers = KINDS["transcripts"], np.array([[0.1, 1.0, 2.0]])
    assert kind.apart(answers + np.array([[0, 1, 0]]), answers) == 0
    assert kind.apart(answers + np.array([[0.2, 0, 0]]), answers) == pytest.approx(0.2)


def test_a_classifier_is_judged_by_its_accuracy_and_attacked_by_the_label() -> None:
    kind, logits = KINDS["classes"], np.log(np.array([[0.9, 0.1], [0.2, 0.8]]))
    assert kind.shown(logits, LABELS) == 0.5
    assert kind.lost(logits, logits[::-1] * 0 + logits[0], LABELS) == -0.5
    assert np.exp(kind.scores(logits, LABELS, ["a", "b"], "loss")) == pytest.approx([0.9, 0.2])
