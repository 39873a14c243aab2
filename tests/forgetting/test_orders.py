from __future__ import annotations

import numpy as np
import pytest

from orchestrator.forgetting.orders import balanced_order, index_order, random_order, stratified_order

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3, 4], [400, 150, 97, 50, 3]))
ORDERS = [random_order, stratified_order, balanced_order]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("seed", range(3))
def test_every_order_is_a_permutation_of_all_utterances(order, seed: int) -> None:
    drawn = order(LABELS, len(LABELS), np.random.default_rng(seed))
    assert sorted(drawn) == list(range(len(LABELS)))


@pytest.mark.parametrize("order", ORDERS)
def test_a_shorter_draw_is_a_prefix_of_a_longer_one(order) -> None:
    whole = order(LABELS, len(LABELS), np.random.default_rng(7))
    for count in (1, 2, 7, 70, 333, 699):
        assert np.array_equal(order(LABELS, count, np.random.default_rng(7)), whole[:count])


@pytest.mark.parametrize("order", ORDERS)
def test_orders_differ_between_seeds(order) -> None:
    first, second = (order(LABELS, 50, np.random.default_rng(seed)) for seed in (0, 1))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("seed", range(3))
def test_every_stratified_prefix_holds_each_class_in_proportion(seed: int) -> None:
    order = stratified_order(LABELS, len(LABELS), np.random.default_rng(seed))
    share = np.bincount(LABELS) / len(LABELS)
    for count in range(1, len(LABELS) + 1):
        found = np.bincount(LABELS[order[:count]], minlength=5)
        # Sainte-Laguë may stray from the exact quota by a little more than one seat, never by more than C / 2.
        assert np.abs(found - count * share).max() < 1.5


@pytest.mark.parametrize("seed", range(3))
def test_every_balanced_prefix_holds_each_class_equally_until_one_runs_out(seed: int) -> None:
    order = balanced_order(LABELS, 15, np.random.default_rng(seed))
    for count in range(1, 16):
        found = np.bincount(LABELS[order[:count]], minlength=5)
        assert found.max() - found.min() <= 1


@pytest.mark.parametrize("seed", range(3))
def test_a_class_that_ran_out_is_topped_up_from_the_others(seed: int) -> None:
    order = balanced_order(LABELS, 5 * 40, np.random.default_rng(seed))
    found = np.bincount(LABELS[order], minlength=5)
    assert found[4] == 3
    assert found[:4].min() >= 40
    assert found.sum() == 200


def test_top_ups_are_uniform_over_what_is_left() -> None:
    labels = np.repeat([0, 1, 2], [900, 300, 0 + 1])
    extra = np.zeros(2)
    for seed in range(60):  # 19 top-ups each: class 0 should get about three quarters of them
        order = balanced_order(labels, 60, np.random.default_rng(seed))
        extra += np.bincount(labels[order], minlength=3)[:2] - 20
    assert extra.sum() == 60 * 19
    assert 0.68 < extra[0] / extra.sum() < 0.82


def test_an_index_is_a_rank_in_byte_order_whatever_the_order_of_rows() -> None:
    ids = ["yes/b.wav", "_background_noise_/z.wav", "bed/a.wav", "yes/B.wav"]
    assert [ids[row] for row in index_order(ids, [0, 1, 2, 3], 4)] == [
        "_background_noise_/z.wav",
        "bed/a.wav",
        "yes/B.wav",
        "yes/b.wav",
    ]


@pytest.mark.parametrize(("indices", "message"), [([0, 4], "got 4, allowed: 0 to 3"), ([1, 1], "given twice")])
def test_a_bad_index_is_refused(indices: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        index_order(["a", "b", "c", "d"], indices, 1)
