"""Requests one after another forget what one request for all of it forgets, and nothing twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from forgetting.corpora import keywords, people

from orchestrator.forgetting.sets import CorpusArrays, ForgetRequest, draw

SEEDS = range(8)


def in_sequence(corpus: CorpusArrays, *requests: ForgetRequest, seed: int = 0):
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
def test_three_requests_in_sequence_forget_what_one_for_all_of_it_does(once, whole):
    corpus = keywords(count=1000)
    for seed in SEEDS:
        steps = in_sequence(corpus, once, once, once, seed=seed)
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
        steps = in_sequence(corpus, *requests, seed=seed)
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
    first, second = in_sequence(corpus, request, request)
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
        ([ForgetRequest(forget_ratio=0.5)] * 2, "that earlier requests left"),
    ],
)
def test_what_earlier_requests_left_too_little_of_is_refused(requests, message):
    corpus = keywords()
    even = replace(corpus, splits=np.where(np.arange(600) < 400, "train", "test").astype(object))
    with pytest.raises(ValueError, match=message):
        in_sequence(even, *requests)


def test_an_utterance_that_was_forgotten_before_is_refused_by_its_id():
    corpus = keywords()
    first = draw(ForgetRequest(forget_ratio=0.1), corpus, 0)
    again = str(corpus.utterance_ids[first.rows[3]])
    with pytest.raises(ValueError, match=f"forgotten once: got '{again}', which an earlier request"):
        draw(ForgetRequest(kind="ids", ids=(again,)), corpus.without(first.rows), 0)
