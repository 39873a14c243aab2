"""Discovery: only a part of the wrong labels is known and forgotten; the others stay in D_r as they are."""

from __future__ import annotations

import numpy as np
import pytest
from forgetting.corpora import keywords

from orchestrator.forgetting.sets import ForgetRequest, draw

SHARES = (0.1, 0.3, 0.5, 0.9)


def known(share, corpus, seed=0):
    return draw(ForgetRequest(kind="mislabeled", known_share=share), corpus, seed)


@pytest.mark.parametrize("seed", range(8))
def test_a_smaller_share_lies_within_a_larger_one_and_all_within_the_wrong_labels(seed: int) -> None:
    corpus = keywords(wrong=True)
    wrong = draw(ForgetRequest(kind="mislabeled"), corpus, seed).rows
    previous = set[int]()
    for share in SHARES:
        rows = known(share, corpus, seed).rows
        assert len(rows) == round(share * len(wrong))
        assert previous < set(rows.tolist()) < set(wrong.tolist())
        previous = set(rows.tolist())


def test_seeds_know_different_ones() -> None:
    corpus = keywords(wrong=True)
    assert not np.array_equal(known(0.3, corpus, 0).rows, known(0.3, corpus, 1).rows)


def test_later_discoveries_continue_where_earlier_ones_stopped() -> None:
    corpus = keywords(wrong=True)
    first = known(0.3, corpus)
    second = known(0.2, corpus.without(first.rows))
    assert not set(first.rows) & set(second.rows)
    assert np.array_equal(np.union1d(first.rows, second.rows), known(0.5, corpus).rows)


def test_all_known_is_the_request_without_a_share() -> None:
    plain = ForgetRequest(kind="mislabeled")
    assert ForgetRequest(kind="mislabeled", known_share=1.0) == plain
    assert "known_share" not in plain.identity()
    assert ForgetRequest(kind="mislabeled", known_share=0.3).identity() == {"kind": "mislabeled", "known_share": 0.3}


@pytest.mark.parametrize("share", [0, -0.1, 1.5, True])
def test_a_share_outside_its_range_is_refused(share) -> None:
    with pytest.raises(ValueError, match="known_share must be above 0 and at most 1"):
        ForgetRequest(kind="mislabeled", known_share=share)


def test_a_share_that_selects_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="selects 0 of"):
        known(0.001, keywords(wrong=True))
