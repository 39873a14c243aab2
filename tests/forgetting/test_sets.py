"""A forget set is a proper part of the training set: drawn by ratio, class, speaker or wrong label."""

from __future__ import annotations

import numpy as np
import pytest
from forgetting.corpora import CLASSES, keywords, people

from orchestrator.forgetting.sets import ForgetRequest, draw

SEEDS = range(8)


REQUESTS = [
    ForgetRequest(forget_ratio=0.01),
    ForgetRequest(forget_ratio=0.37, rule="stratified"),
    ForgetRequest(forget_ratio=0.1, rule="balanced"),
    ForgetRequest(forget_ratio=0.99),
    ForgetRequest(kind="class"),
    ForgetRequest(kind="class", num_classes=3),
    ForgetRequest(kind="speaker", num_speakers=2),
    ForgetRequest(kind="mislabeled"),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: f"{r.kind}-{r.rule}-{r.forget_ratio}")
@pytest.mark.parametrize("seed", SEEDS)
def test_every_forget_set_is_an_ascending_proper_part_of_train(request_: ForgetRequest, seed: int) -> None:
    corpus = keywords(wrong=True)
    forget_set = draw(request_, corpus, seed)
    assert forget_set.rows.dtype == np.int64
    assert np.all(np.diff(forget_set.rows) > 0)
    assert np.all(corpus.splits[forget_set.rows] == "train")
    assert 0 < len(forget_set.rows) < len(corpus.train)
    assert forget_set.forget_ratio == len(forget_set.rows) / len(corpus.train)
    assert np.array_equal(draw(request_, corpus, seed).rows, forget_set.rows)


@pytest.mark.parametrize("rule", ["random", "stratified", "balanced"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_smaller_ratio_lies_within_a_larger_one_and_is_exact(rule: str, seed: int) -> None:
    corpus, previous = keywords(), set[int]()
    for ratio in (0.01, 0.02, 0.03, 0.1, 0.5, 0.9):
        rows = set(draw(ForgetRequest(forget_ratio=ratio, rule=rule), corpus, seed).rows.tolist())
        assert previous < rows
        assert len(rows) == round(ratio * len(corpus.train))
        previous = rows


@pytest.mark.parametrize("rule", ["random", "stratified", "balanced"])
def test_seeds_draw_different_samples(rule: str) -> None:
    first, second = (draw(ForgetRequest(forget_ratio=0.1, rule=rule), keywords(), seed).rows for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_a_ratio_that_selects_nothing_is_refused_with_the_number_it_selects() -> None:
    with pytest.raises(ValueError, match=r"proper subset .*: forget_ratio 0\.0001 by rule random selects 0 of \d+"):
        draw(ForgetRequest(forget_ratio=0.0001), keywords(), 0)


def test_a_ratio_that_selects_everything_is_refused() -> None:
    corpus = keywords()
    with pytest.raises(ValueError, match=rf"proper subset .* selects {len(corpus.train)} of {len(corpus.train)}"):
        draw(ForgetRequest(forget_ratio=0.9999), corpus, 0)


@pytest.mark.parametrize("seed", range(50))
def test_drawn_classes_are_whole_nested_and_never_unforgettable(seed: int) -> None:
    corpus = keywords(wrong=True)
    one, three = (draw(ForgetRequest(kind="class", num_classes=count), corpus, seed) for count in (1, 3))
    assert set(one.forgotten_classes) < set(three.forgotten_classes)
    assert not {"_silence_", "_unknown_"} & {CLASSES[label] for label in three.forgotten_classes}
    in_train = np.isin(corpus.labels, three.forgotten_classes) & (corpus.splits == "train")
    assert np.array_equal(three.rows, np.flatnonzero(in_train))


def test_one_keyword_is_the_default_and_each_is_drawn_by_some_seed() -> None:
    drawn = [draw(ForgetRequest(kind="class"), keywords(), seed).forgotten_classes for seed in range(60)]
    assert set(drawn) == {(0,), (1,), (2,), (3,)}


def test_named_classes_are_forgotten_whatever_the_seed() -> None:
    request = ForgetRequest(kind="class", classes=("up", "yes"))
    assert [draw(request, keywords(), seed).forgotten_classes for seed in (0, 1)] == [(0, 2), (0, 2)]


@pytest.mark.parametrize("name", ["_silence_", "_unknown_", "maybe"])
def test_an_unforgettable_or_unknown_class_cannot_be_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"class cannot be forgotten: got {name}, allowed: yes, no, up, down"):
        draw(ForgetRequest(kind="class", classes=("yes", name)), keywords(), 0)


def test_more_classes_than_there_are_cannot_be_forgotten() -> None:
    with pytest.raises(ValueError, match="too few classes to forget: got a request for 5, allowed: 4 or fewer"):
        draw(ForgetRequest(kind="class", num_classes=5), keywords(), 0)


def test_a_share_of_speakers_is_forgotten_as_classes() -> None:
    forget_set = draw(ForgetRequest(kind="class", class_share=0.05), people(), 3)
    assert len(forget_set.forgotten_classes) == 2
    assert len(forget_set.rows) == 16
    assert forget_set.forget_ratio == 0.05


def test_a_share_that_selects_no_class_is_refused() -> None:
    with pytest.raises(ValueError, match="classes none selects 0 of 32"):
        draw(ForgetRequest(kind="class", class_share=0.05), people(4), 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_drawn_speakers_are_whole_and_have_names(seed: int) -> None:
    corpus = keywords()
    forget_set = draw(ForgetRequest(kind="speaker", num_speakers=2), corpus, seed)
    chosen = set(corpus.speakers[forget_set.rows])
    assert len(chosen) == 2
    assert "" not in chosen
    assert len(forget_set.rows) == sum(corpus.speakers[row] in chosen for row in corpus.train)
    assert forget_set.forgotten_classes == ()


def test_a_speaker_that_train_lacks_cannot_be_forgotten() -> None:
    with pytest.raises(ValueError, match="speaker cannot be forgotten: got eve, allowed: ann, bob, cem, dai"):
        draw(ForgetRequest(kind="speaker", speakers=("ann", "eve")), keywords(), 0)


def test_a_speaker_of_a_speaker_task_is_a_class() -> None:
    with pytest.raises(ValueError, match="use kind: class"):
        draw(ForgetRequest(kind="speaker"), people(), 0)


def test_mislabeled_takes_exactly_the_wrong_labels_of_train() -> None:
    corpus = keywords(wrong=True)
    rows = draw(ForgetRequest(kind="mislabeled"), corpus, 0).rows
    wrong = (corpus.labels != corpus.true_labels) & (corpus.splits == "train")
    assert np.array_equal(rows, np.flatnonzero(wrong))


def test_mislabeled_without_wrong_labels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"utterances with wrong labels \(label_noise\) selects 0"):
        draw(ForgetRequest(kind="mislabeled"), keywords(), 0)


def test_a_class_that_loses_its_last_utterance_is_named() -> None:
    corpus = keywords()
    silence = corpus.train[corpus.labels[corpus.train] == 4]
    request = ForgetRequest(kind="ids", ids=tuple(corpus.utterance_ids[silence].tolist()))
    assert draw(request, corpus, 0).description.endswith("D_r has no _silence_ left")
    some = ForgetRequest(kind="ids", ids=tuple(corpus.utterance_ids[silence[:-1]].tolist()))
    assert "left" not in draw(some, corpus, 0).description
