from __future__ import annotations

import threading

import pytest
import torch

from methods.engine.prefetch import one_ahead


def test_items_come_in_their_order():
    assert list(one_ahead(iter(range(20)))) == list(range(20))
    assert list(one_ahead(iter([]))) == []


def test_the_next_item_is_made_while_the_caller_has_this_one():
    made = [threading.Event() for _ in range(3)]

    def items():
        for number, event in enumerate(made):
            event.set()
            yield number

    coming = one_ahead(items())
    assert next(coming) == 0
    assert made[1].wait(10)  # without a request
    assert not made[2].is_set()  # one ahead, not more
    assert list(coming) == [1, 2]


def test_an_error_comes_where_the_item_would_have():
    def items():
        yield 1
        raise OSError("disk")

    coming = one_ahead(items())
    assert next(coming) == 1
    with pytest.raises(OSError, match="disk"):
        next(coming)


def test_a_caller_that_stops_early_leaves_no_thread():
    coming = one_ahead(iter(range(5)))
    next(coming)
    coming.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_batches_read_ahead_are_the_same_batches(kit):
    forget, retain, _ = kit.make_sets()
    plain = forget + retain
    ahead = kit.replace(plain, prefetch=True)
    generators = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    for one, other in zip(plain.batches(5, generators[0]), ahead.batches(5, generators[1]), strict=True):
        assert torch.equal(one.features, other.features)
        assert torch.equal(one.utterances, other.utterances)
