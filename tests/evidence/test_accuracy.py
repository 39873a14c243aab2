"""Accuracies and baselines, against counts made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from orchestrator.evidence.accuracy import (
    NO_ANSWER,
    accuracy,
    accuracy_by_class_group,
    answers,
    chance_accuracy,
    constant_predictor_accuracy,
    cross_entropy,
    is_collapsed,
    largest_prediction_share,
    macro_f1,
    predictions,
    score_set,
)

NOTHING = np.empty(0, dtype=np.int64)


def test_accuracy_counts_hits() -> None:
    assert accuracy(np.array([0, 1, 2, 2]), np.array([0, 1, 1, 0])) == 0.5


def test_every_measure_of_an_empty_set_is_nan() -> None:
    scores = score_set(answers(np.empty((0, 3)), NOTHING), NOTHING, NOTHING)
    measures = [scores.accuracy, scores.macro_f1, scores.loss, largest_prediction_share(NOTHING, NOTHING)]
    measures += [
        constant_predictor_accuracy(NOTHING, np.array([1])),
        constant_predictor_accuracy(np.array([1]), NOTHING),
    ]
    assert all(math.isnan(m) for m in measures)


def test_macro_f1_weighs_classes_equally_and_ignores_classes_without_utterances() -> None:
    labels = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1])
    predicted = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 5])  # class 5 is absent from the labels
    f1_of_0 = 2 * 8 / (2 * 8 + 1)  # eight hits, one false alarm
    assert macro_f1(predicted, labels) == pytest.approx((f1_of_0 + 0) / 2)


def test_cross_entropy_of_uniform_logits_is_log_of_the_class_count() -> None:
    assert cross_entropy(np.zeros((4, 12)), np.array([0, 3, 5, 11])) == pytest.approx([math.log(12)] * 4)


def test_cross_entropy_survives_logits_that_overflow_a_naive_softmax() -> None:
    losses = cross_entropy(np.array([[1e4, 0.0], [1e4, 0.0]], dtype=np.float32), np.array([0, 1]))
    assert losses == pytest.approx([0.0, 1e4])


@pytest.mark.parametrize("logits_at_once", [1, 100, 2**20])
def test_measures_do_not_depend_on_how_many_logits_are_held_at_once(monkeypatch, logits_at_once) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(scale=5, size=(200, 33)).astype(np.float32), rng.integers(33, size=200)
    monkeypatch.setattr("orchestrator.evidence.accuracy.CHUNK_LOGITS", logits_at_once)
    found = answers(logits, labels)
    assert found.predicted.tolist() == predictions(logits).tolist()
    assert found.losses.tolist() == cross_entropy(logits, labels).tolist()  # to the last bit


def test_a_row_with_a_nan_logit_is_wrong_under_every_label() -> None:
    predicted = predictions(np.array([[np.nan, 1.0], [3.0, 1.0]]))
    assert predicted.tolist() == [NO_ANSWER, 0]
    assert accuracy(predicted, np.array([0, 0])) == 0.5


def test_chance_is_one_over_the_class_count() -> None:
    assert chance_accuracy(12) == pytest.approx(1 / 12)
    with pytest.raises(ValueError, match="got 0"):
        chance_accuracy(0)


def test_the_constant_predictor_answers_the_majority_class_of_training() -> None:
    train, test = np.array([2, 2, 2, 0, 1]), np.array([0, 0, 0, 1, 2])
    assert constant_predictor_accuracy(train, test) == 0.2


def test_a_constant_model_is_collapsed_and_a_perfect_one_is_not() -> None:
    labels = np.repeat(np.arange(12), 7)
    assert is_collapsed(np.full_like(labels, 3), labels)
    assert not is_collapsed(labels, labels)


def test_a_frequent_class_does_not_make_a_perfect_model_look_collapsed() -> None:
    labels = np.repeat([0, 1, 2], [950, 25, 25])  # class 0 takes 95 % of the predictions, but a third when balanced
    assert largest_prediction_share(labels, labels) == pytest.approx(1 / 3)
    assert not is_collapsed(labels, labels)


def test_a_model_is_collapsed_just_above_nine_tenths_and_not_at_them() -> None:
    labels = np.repeat(np.arange(10), 100)
    predicted = np.zeros_like(labels)
    predicted[-100:] = 7
    assert not is_collapsed(predicted, labels)
    predicted[-1] = 0
    assert is_collapsed(predicted, labels)


def test_a_model_without_answers_is_collapsed() -> None:
    labels = np.array([0, 1, 2, 3])
    assert is_collapsed(predictions(np.full((4, 4), np.nan)), labels)


def test_one_class_alone_cannot_show_a_collapse() -> None:
    assert not is_collapsed(np.zeros(5, dtype=np.int64), np.zeros(5, dtype=np.int64))


def test_kept_and_forgotten_classes_are_scored_apart() -> None:
    labels, predicted = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 0, 0, 2, 0])
    kept, forgotten = accuracy_by_class_group(predicted, labels, {1})
    assert (kept, forgotten) == (0.75, 0.0)


def test_without_forgotten_classes_all_are_kept() -> None:
    kept, forgotten = accuracy_by_class_group(np.array([0, 1]), np.array([0, 0]), ())
    assert kept == 0.5
    assert math.isnan(forgotten)


def test_a_label_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="got 3 utterances and 2 labels"):
        accuracy(np.zeros(3, dtype=np.int64), np.zeros(2, dtype=np.int64))
