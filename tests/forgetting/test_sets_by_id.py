"""Utterances named by their ids or by an index file."""

from __future__ import annotations

import os
import unicodedata
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forgetting.corpora import indexed, keywords, people

from orchestrator.errors import RecordingsNotice
from orchestrator.forgetting.sets import CorpusArrays, ForgetRequest, draw


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
