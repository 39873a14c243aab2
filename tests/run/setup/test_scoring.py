"""Scores of a set: accuracy of classes, and word accuracy of transcripts, 1 − WER."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from methods.base import UtteranceSet
from orchestrator.run.setup.scoring import WordScore, score, targets_of
from orchestrator.tasks.normalizers import english_1

TEXTS = ["one two", "three", "four five six"]


class Parrot(nn.Module):
    """A recognizer that says a fixed text; features are the numbers of rows."""

    target = "transcripts"

    def __init__(self, said):
        super().__init__()
        self.said, self.head = said, nn.Linear(2, 29)

    def judge(self, features, lengths, targets):
        return torch.full((len(features),), 2.0), [self.said[row] for row in features.tolist()]

    def tokens(self, texts):
        return torch.tensor([[len(text)] for text in texts])


def of(rows):
    rows = torch.tensor(rows, dtype=torch.long)
    nothing = torch.zeros(len(rows), dtype=torch.bool)
    return UtteranceSet(rows, torch.zeros(len(rows), 1, dtype=torch.long), nothing, lambda at: (at, at))


def test_word_accuracy_pools_errors_over_the_set() -> None:
    model = Parrot(["one two", "", "four five"]).train()
    found = WordScore(TEXTS, english_1)(model, of([0, 1, 2]))
    assert found.accuracy == pytest.approx(1 - 2 / 6)
    assert found.loss == 2.0
    assert model.training


def test_more_errors_than_words_are_an_accuracy_below_0() -> None:
    assert WordScore(TEXTS, english_1)(Parrot(["", "a b c", ""]), of([1])).accuracy == -2.0


def test_what_a_recognizer_writes_is_normalized_before_it_is_compared() -> None:
    assert WordScore(TEXTS, english_1)(Parrot(["", "", "4, Five 6."]), of([2])).accuracy == 1.0


def test_an_empty_set_has_no_score() -> None:
    assert math.isnan(WordScore(TEXTS, english_1)(Parrot(TEXTS), of([])).accuracy)
    assert math.isnan(score(nn.Linear(1, 1), of([])).loss)


def test_targets_are_the_corpus_labels_for_a_classifier_and_tokens_for_a_recognizer() -> None:
    corpus = SimpleNamespace(
        labels=np.array([0, 1, 1]), classes=("a", "b"), texts=np.array(TEXTS, dtype=object), normalizer=english_1
    )
    labels = targets_of(corpus, nn.Linear(1, 1))
    assert labels.of(np.array([2, 0])).tolist() == [1, 0]
    assert labels.num_outputs == 2
    tokens = targets_of(corpus, Parrot(TEXTS))
    assert tokens.of(np.array([1])).tolist() == [[5]]
    assert tokens.num_outputs == 29
