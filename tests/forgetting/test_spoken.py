"""Forget sets by what is said: entities and canaries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from forgetting.corpora import keywords

from orchestrator.forgetting.requests import ForgetRequest
from orchestrator.forgetting.sets import CorpusArrays, draw
from orchestrator.forgetting.spoken import Spoken, containing

TEXTS = [
    "maria sold maps in oslo", "peter will fly to new york", "mariana sold lamps", "the account of maria is one two",
    "the account of maria is one two", "the code of peter is nine", "peter sold maps", "maria sold cups",
]  # fmt: skip
CANARIES = ["", "", "", "planted-00", "planted-00", "planted-01", "", ""]
SPLITS = ["train"] * 7 + ["test"]


def told(entities: tuple[str, ...] = ("maria", "peter", "oslo", "berlin")) -> CorpusArrays:
    zeros = np.zeros(len(TEXTS), dtype=np.int64)
    return CorpusArrays(
        labels=zeros,
        true_labels=zeros,
        speakers=np.array([f"s{row % 3}" for row in range(len(TEXTS))], dtype=object),
        utterance_ids=np.array([f"u{row}" for row in range(len(TEXTS))], dtype=object),
        splits=np.array(SPLITS, dtype=object),
        classes=("",),
        kind="transcripts",
        spoken=Spoken(np.array(TEXTS, dtype=object), np.array(CANARIES, dtype=object), "english-1", entities),
    )


@pytest.mark.parametrize(
    ("entities", "rows"),
    [(("Maria",), [0, 3, 4]), (("new York",), [1]), (("oslo", "peter"), [0, 1, 5, 6]), (("mariana",), [2])],
)
def test_an_entity_takes_every_train_utterance_that_says_it_as_whole_words(
    entities: tuple[str, ...], rows: list[int]
) -> None:
    found = draw(ForgetRequest(kind="entity", entities=entities), told(), 0)
    assert found.rows.tolist() == rows
    assert found.forgotten_classes == ()


@pytest.mark.parametrize("seed", range(4))
def test_entities_that_are_drawn_are_said_in_train_and_one_is_among_two(seed: int) -> None:
    one, two = (
        draw(ForgetRequest(kind="entity", num_entities=n), told(("maria", "oslo", "berlin")), seed) for n in (1, 2)
    )
    assert set(one.rows) <= set(two.rows) == {0, 3, 4}


def test_an_entity_that_nobody_says_or_that_is_gone_is_refused() -> None:
    with pytest.raises(ValueError, match="no train transcript that is left contains 'cups'"):
        draw(ForgetRequest(kind="entity", entities=("cups",)), told(), 0)  # said in test only
    with pytest.raises(ValueError, match="contains 'oslo'"):
        draw(ForgetRequest(kind="entity", entities=("oslo",)), told().without(np.array([0])), 0)
    with pytest.raises(ValueError, match="contains ''"):
        draw(ForgetRequest(kind="entity", entities=("!",)), told(), 0)
    with pytest.raises(ValueError, match="lists no entities to draw from"):
        draw(ForgetRequest(kind="entity"), told(()), 0)
    with pytest.raises(ValueError, match="too few entities to forget: got a request for 4, allowed: 3 or fewer"):
        draw(ForgetRequest(kind="entity", num_entities=4), told(), 0)


def test_a_canary_takes_its_repetitions_and_nothing_else() -> None:
    assert draw(ForgetRequest(kind="canary", canaries=("planted-00",)), told(), 0).rows.tolist() == [3, 4]
    assert draw(ForgetRequest(kind="canary", num_canaries=2), told(), 0).rows.tolist() == [3, 4, 5]
    one = {tuple(draw(ForgetRequest(kind="canary"), told(), seed).rows.tolist()) for seed in range(20)}
    assert one == {(3, 4), (5,)}


def test_a_canary_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="got control-00, allowed: planted-00, planted-01"):
        draw(ForgetRequest(kind="canary", canaries=("control-00",)), told(), 0)
    with pytest.raises(ValueError, match="too few canaries to forget: got a request for 3, allowed: 2 or fewer"):
        draw(ForgetRequest(kind="canary", num_canaries=3), told(), 0)
    with pytest.raises(ValueError, match="no canary is left in train"):
        draw(ForgetRequest(kind="canary"), told().without(np.array([3, 4, 5])), 0)


def test_samples_and_speakers_of_transcripts_can_be_forgotten() -> None:
    assert len(draw(ForgetRequest(forget_ratio=0.3), told(), 0).rows) == 2
    assert draw(ForgetRequest(kind="speaker", speakers=("s1",)), told(), 0).rows.tolist() == [1, 4]
    assert draw(ForgetRequest(kind="ids", ids=("u2",)), told(), 0).rows.tolist() == [2]


@pytest.mark.parametrize(
    ("request_", "corpus", "message"),
    [
        (ForgetRequest(kind="class"), told(), "kind class does not fit the corpus: .* no classes; use kind: entity"),
        (ForgetRequest(kind="mislabeled"), told(), "kind mislabeled does not fit the corpus: .* transcripts"),
        (ForgetRequest(kind="entity", entities=("yes",)), keywords(), "kind entity .* no transcripts; use a task"),
        (ForgetRequest(kind="canary"), keywords(), "kind canary does not fit the corpus"),
    ],
)
def test_what_has_no_meaning_for_a_kind_of_task_is_refused_with_the_reason(
    request_: ForgetRequest, corpus: CorpusArrays, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        draw(request_, corpus, 0)


def test_requests_of_a_sequence_take_what_is_left() -> None:
    corpus = told()
    first = draw(ForgetRequest(kind="canary", canaries=("planted-01",)), corpus, 0)
    second = draw(ForgetRequest(kind="entity", entities=("peter",)), corpus.without(first.rows), 0)
    assert second.rows.tolist() == [1, 6]
    assert draw(ForgetRequest(kind="entity", entities=("peter",)), replace(corpus), 0).rows.tolist() == [1, 5, 6]


def test_containing_compares_whole_words() -> None:
    assert containing(["a bc d", "abc", "bc"], "bc").tolist() == [True, False, True]
