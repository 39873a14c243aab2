from __future__ import annotations

import os
import unicodedata
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import RecordingsNotice
from orchestrator.forgetting.sets import CorpusArrays, ForgetRequest, draw

SEEDS = range(8)
CLASSES = ("yes", "no", "up", "down", "_silence_", "_unknown_")


def keywords(count: int = 600, wrong: bool = False) -> CorpusArrays:
    rng = np.random.default_rng(1)
    true_labels = rng.choice(6, size=count, p=[0.15, 0.15, 0.15, 0.15, 0.05, 0.35])
    labels = true_labels.copy()
    if wrong:
        rows = rng.permutation(count)[: count // 20]
        labels[rows] = (labels[rows] + 1) % 6
    return CorpusArrays(
        labels=labels,
        true_labels=true_labels,
        speakers=np.where(true_labels == 4, "", rng.choice(["ann", "bob", "cem", "dai"], size=count)).astype(object),
        utterance_ids=np.array([f"u{number:04d}" for number in rng.permutation(count)], dtype=object),
        splits=rng.choice(["train", "validation", "test", "holdout"], size=count, p=[0.7, 0.1, 0.1, 0.1]).astype(
            object
        ),
        classes=CLASSES,
        kind="keywords",
        unforgettable=("_unknown_", "_silence_"),
    )


def people(num_speakers: int = 40) -> CorpusArrays:
    labels = np.repeat(np.arange(num_speakers), 10)
    names = tuple(f"id{10001 + label}" for label in range(num_speakers))
    return CorpusArrays(
        labels=labels,
        true_labels=labels,
        speakers=np.array([names[label] for label in labels], dtype=object),
        utterance_ids=np.array([f"u{row}" for row in range(len(labels))], dtype=object),
        splits=np.array((["train"] * 8 + ["validation", "test"]) * num_speakers, dtype=object),
        classes=names,
        kind="speakers",
    )


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


def test_a_ratio_that_comes_to_nothing_says_to_how_many_it_came() -> None:
    with pytest.raises(ValueError, match=r"forget set is empty: forget_ratio 0\.0001 by rule random came to 0 of \d+"):
        draw(ForgetRequest(forget_ratio=0.0001), keywords(), 0)


def test_a_ratio_that_comes_to_everything_is_refused() -> None:
    corpus = keywords()
    with pytest.raises(
        ValueError, match=rf"forget set is all of D: .* came to {len(corpus.train)} of {len(corpus.train)}"
    ):
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


def test_a_share_that_comes_to_no_class_is_refused() -> None:
    with pytest.raises(ValueError, match="forget set is empty: classes none came to 0 of 32"):
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
    with pytest.raises(ValueError, match="allowed: kind class"):
        draw(ForgetRequest(kind="speaker"), people(), 0)


def test_mislabeled_takes_exactly_the_wrong_labels_of_train() -> None:
    corpus = keywords(wrong=True)
    rows = draw(ForgetRequest(kind="mislabeled"), corpus, 0).rows
    wrong = (corpus.labels != corpus.true_labels) & (corpus.splits == "train")
    assert np.array_equal(rows, np.flatnonzero(wrong))


def test_mislabeled_without_wrong_labels_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"forget set is empty: utterances with wrong labels \(label_noise\) came to 0"
    ):
        draw(ForgetRequest(kind="mislabeled"), keywords(), 0)


def test_a_list_and_a_file_of_ids_give_the_same_rows(tmp_path: Path) -> None:
    corpus = keywords()
    wanted = np.random.default_rng(0).permutation(corpus.train)[:5]
    names = tuple(corpus.utterance_ids[wanted].tolist())
    (tmp_path / "ids.txt").write_text("\n".join(names) + "\n")
    by_list = draw(ForgetRequest(kind="ids", ids=names), corpus, 0)
    by_file = draw(ForgetRequest(kind="ids", ids_file=str(tmp_path / "ids.txt")), corpus, 1)
    assert by_list.rows.tolist() == by_file.rows.tolist() == sorted(wanted.tolist())


def test_ids_outside_train_unknown_or_twice_are_refused() -> None:
    corpus = keywords()
    tested, trained = (str(corpus.utterance_ids[corpus.splits == split][0]) for split in ("test", "train"))
    for ids, message in (
        ((tested,), f"got '{tested}' .in test split."),
        (("nobody",), "got 'nobody' .in no split."),
        ((trained, trained), f"given twice: got '{trained}'"),
    ):
        with pytest.raises(ValueError, match=message):
            draw(ForgetRequest(kind="ids", ids=ids), corpus, 0)


def indexed(tmp_path: Path, text: str, **settings: object) -> ForgetRequest:
    (tmp_path / "indices.txt").write_text(text)
    path = str(tmp_path / "indices.txt")
    return ForgetRequest(rule="index_file", index_file=path, **{"forget_ratio": 0.1, **settings})  # type: ignore[arg-type]


def test_an_index_file_counts_train_utterances_in_byte_order_of_their_ids(tmp_path: Path) -> None:
    corpus = replace(keywords(), splits=np.where(keywords().splits == "holdout", "train", keywords().splits))
    ranked = sorted(corpus.utterance_ids[corpus.train])
    indices = np.random.default_rng(0).permutation(len(ranked))[:40].tolist()
    text = "\n".join(map(str, indices))
    for ratio, count in ((0.1, 40), (0.07, 28), (0.01, 4)):
        rows = draw(indexed(tmp_path, text, forget_ratio=ratio), corpus, 0).rows
        assert set(corpus.utterance_ids[rows]) == {ranked[index] for index in indices[:count]}


def test_an_index_file_for_another_train_split_is_refused(tmp_path: Path) -> None:
    corpus = keywords()
    with pytest.raises(ValueError, match=r"holdout, allowed: none \(holdout_share: 0\)"):
        draw(indexed(tmp_path, "1\n2\n"), corpus, 0)
    whole = replace(corpus, splits=np.full(len(corpus.splits), "train", dtype=object))
    with pytest.raises(ValueError, match="got 600 utterances, allowed: 51094"):
        draw(indexed(tmp_path, "1\n2\n", index_total=51_094), whole, 0)
    with pytest.raises(ValueError, match="allowed: one whole number a line"):
        draw(indexed(tmp_path, "1\ntwo\n"), whole, 0)


def test_a_class_that_loses_its_last_utterance_is_named() -> None:
    corpus = keywords()
    silence = corpus.train[corpus.labels[corpus.train] == 4]
    request = ForgetRequest(kind="ids", ids=tuple(corpus.utterance_ids[silence].tolist()))
    assert draw(request, corpus, 0).description.endswith("D_r has no _silence_ left")
    some = ForgetRequest(kind="ids", ids=tuple(corpus.utterance_ids[silence[:-1]].tolist()))
    assert "left" not in draw(some, corpus, 0).description


@pytest.mark.skipif(
    "UNLEARN_DATA" not in os.environ, reason="UNLEARN_DATA is not set: the published indices are needed"
)
def test_the_published_indices_take_all_silence_first_and_504_utterances_a_step() -> None:
    path = Path(os.environ["UNLEARN_DATA"]) / "mubench" / "speech_commands_forget_indices.txt"
    # Speech Commands v0.01 as far as the indices tell: six noise recordings, then the words.
    count = 51_094
    labels = np.where(np.arange(count) < 6, 0, 1)
    corpus = CorpusArrays(
        labels=labels,
        true_labels=labels,
        speakers=np.full(count, "", dtype=object),
        utterance_ids=np.array([f"{row:05d}" for row in range(count)], dtype=object),
        splits=np.full(count, "train", dtype=object),
        classes=("_silence_", "word"),
        kind="keywords",
    )
    previous = set[int]()
    for step in range(1, 11):
        request = ForgetRequest(forget_ratio=step / 100, rule="index_file", index_file=str(path), index_total=count)
        forget_set = draw(request, corpus, 0)
        assert len(forget_set.rows) == 504 * step
        assert previous < set(forget_set.rows.tolist())
        previous = set(forget_set.rows.tolist())
        assert set(range(6)) <= previous
        assert "D_r has no _silence_ left" in forget_set.description


def in_turn(corpus: CorpusArrays, *requests: ForgetRequest, seed: int = 0):
    found = []
    for request in requests:
        found.append(draw(request, corpus, seed))
        corpus = corpus.without(found[-1].rows)
    return found


@pytest.mark.parametrize(
    ("once", "whole"),
    [
        *[
            (ForgetRequest(forget_ratio=0.1, rule=rule), ForgetRequest(forget_ratio=0.3, rule=rule))
            for rule in ("random", "stratified", "balanced")
        ],
        (ForgetRequest(kind="class"), ForgetRequest(kind="class", num_classes=3)),
        (ForgetRequest(kind="speaker"), ForgetRequest(kind="speaker", num_speakers=3)),
    ],
    ids=lambda request: f"{request.kind} {request.rule}",
)
def test_three_requests_in_turn_forget_what_one_for_all_of_it_does(once, whole):
    corpus = keywords(count=1000)
    for seed in SEEDS:
        steps = in_turn(corpus, once, once, once, seed=seed)
        at_once = draw(whole, corpus, seed)
        together = np.concatenate([step.rows for step in steps])
        # Three roundings may come to one more or less than one
        assert len(set(together.tolist()) ^ set(at_once.rows.tolist())) <= 1
        assert len(set(together.tolist())) == len(together)


def test_requests_of_different_kinds_never_forget_an_utterance_twice():
    corpus = keywords(wrong=True)
    requests = [
        ForgetRequest(forget_ratio=0.1),
        ForgetRequest(kind="class"),
        ForgetRequest(kind="mislabeled"),
        ForgetRequest(kind="speaker"),
        ForgetRequest(forget_ratio=0.1, rule="balanced"),
        ForgetRequest(kind="class"),
    ]
    for seed in SEEDS:
        steps = in_turn(corpus, *requests, seed=seed)
        rows = np.concatenate([step.rows for step in steps])
        assert len(set(rows.tolist())) == len(rows)
        assert set(rows.tolist()) <= set(corpus.train.tolist())
        assert steps[1].forgotten_classes != steps[5].forgotten_classes
        for step in steps:
            assert step.forget_ratio == len(step.rows) / len(corpus.train)
        assert {len(steps[n].rows) for n in (0, 4)} == {round(0.1 * len(corpus.train))}  # of the whole of D


def test_an_index_file_is_read_on_where_the_request_before_stopped(tmp_path):
    corpus = people()
    file = tmp_path / "indices.txt"
    file.write_text("\n".join(map(str, range(0, 320, 10))))
    request = ForgetRequest(forget_ratio=0.05, rule="index_file", index_file=str(file))
    first, second = in_turn(corpus, request, request)
    whole = draw(replace(request, forget_ratio=0.1), corpus, 0)
    assert sorted([*first.rows, *second.rows]) == whole.rows.tolist()


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        (
            [ForgetRequest(kind="class", classes=("yes",))] * 2,
            "class cannot be forgotten: got yes, allowed: no, up, down",
        ),
        ([ForgetRequest(kind="class", num_classes=3)] * 2, "too few classes .* request for 3, allowed: 1 or fewer"),
        ([ForgetRequest(kind="speaker", num_speakers=3)] * 2, "too few speakers .*request for 3, allowed: 1 or fewer"),
        ([ForgetRequest(forget_ratio=0.6)] * 2, "too few utterances to forget: got a request for"),
        ([ForgetRequest(forget_ratio=0.5)] * 2, "all that is left of D"),
    ],
)
def test_what_earlier_requests_left_too_little_of_is_refused(requests, message):
    corpus = keywords()
    even = replace(corpus, splits=np.where(np.arange(600) < 400, "train", "test").astype(object))
    with pytest.raises(ValueError, match=message):
        in_turn(even, *requests)


def test_an_utterance_that_was_forgotten_before_is_refused_by_its_id():
    corpus = keywords()
    first = draw(ForgetRequest(forget_ratio=0.1), corpus, 0)
    again = str(corpus.utterance_ids[first.rows[3]])
    with pytest.raises(ValueError, match=f"forgotten once: got '{again}', which an earlier request"):
        draw(ForgetRequest(kind="ids", ids=(again,)), corpus.without(first.rows), 0)


def test_ids_are_compared_in_their_plain_form() -> None:
    corpus = replace(people(), utterance_ids=np.array([f"é/{row}.wav" for row in range(400)], dtype=object))
    names = (unicodedata.normalize("NFD", "é/0.wav"), "./é/1.wav", " é/2.wav ")
    assert draw(ForgetRequest(kind="ids", ids=names), corpus, 0).rows.tolist() == [0, 1, 2]


def test_copies_that_a_removal_leaves_are_said_and_those_that_it_takes_are_not() -> None:
    corpus = replace(people(), duplicates=(("u0", "u1"), ("u2", "u8"), ("u30", "u31")))
    with pytest.warns(
        RecordingsNotice, match=r"under other ids \(2 of 2 recordings\): u0 = u1 \(in train\); u2 = u8 \(in val"
    ):
        draw(ForgetRequest(kind="ids", ids=("u0", "u2")), corpus, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(ForgetRequest(kind="ids", ids=("u0", "u1", "u5")), corpus, 0)
        draw(ForgetRequest(kind="ids", ids=("u0",)), corpus.without(np.array([1])), 0)
        draw(ForgetRequest(forget_ratio=0.1), corpus, 0)
