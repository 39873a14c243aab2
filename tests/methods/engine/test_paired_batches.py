from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
import torch

from methods.base import UtteranceSet
from methods.engine.paired_batches import Paired


@pytest.mark.parametrize(("forget", "retain", "size"), [(6, 10, 4), (3, 10, 32), (10, 3, 4), (5, 5, 1)])
def test_every_batch_has_two_equal_halves_and_the_first_set_is_iterated_once(kit, forget, retain, size):
    d_f, d_r, _ = kit.make_sets(forget=forget, retain=retain)
    source = Paired(d_r, d_f)
    seen = list(source.batches(size, torch.Generator().manual_seed(0)))
    for batch in seen:
        assert int(batch.is_forget.sum()) * 2 == len(batch)
    assert sum(len(b) for b in seen) == len(source) == 2 * retain
    assert len(seen) == -(-retain // max(1, size // 2))
    iterated = torch.cat([b.utterances[~b.is_forget] for b in seen])
    assert sorted(iterated.tolist()) == d_r.utterances.tolist()


def test_the_second_set_is_repeated_only_after_all_of_it_was_used(kit):
    d_f, d_r, _ = kit.make_sets(forget=4, retain=10)
    batches = Paired(d_r, d_f).batches(2, torch.Generator().manual_seed(0))
    used = [int(b.utterances[b.is_forget]) for b in batches]
    assert sorted(used[:4]) == sorted(used[4:8]) == [0, 1, 2, 3]
    assert max(Counter(used).values()) == 3


def test_features_and_labels_stay_with_their_utterances(kit):
    d_f, d_r, _ = kit.make_sets()
    for batch in Paired(d_r, d_f).batches(6, torch.Generator().manual_seed(3)):
        features, _ = d_f.fetch(batch.utterances)
        assert torch.equal(batch.features, features)
        assert torch.equal(batch.labels, batch.utterances % 3)


@dataclass(frozen=True)
class FirstThree(UtteranceSet):
    """A set with an order of its own, of which an epoch takes a part."""

    def batches(self, batch_size, generator=None):
        return self.select(torch.arange(len(self)) < 3)._in_order(batch_size)

    def _in_order(self, batch_size):
        return UtteranceSet.batches(self, batch_size)


@pytest.mark.parametrize("partial_first", [True, False])
def test_a_set_that_orders_its_own_epoch_is_followed_on_either_side(kit, partial_first):
    d_f, d_r, _ = kit.make_sets(forget=5, retain=7)
    part = FirstThree(d_f.utterances, d_f.labels, d_f.is_forget, d_f.fetch)
    source = Paired(part, d_r) if partial_first else Paired(d_r, part)
    seen = list(source.batches(4, torch.Generator().manual_seed(0)))
    of_part = torch.cat([b.utterances[b.is_forget] for b in seen]).tolist()
    assert of_part == ([0, 1, 2] if partial_first else [0, 1, 2, 0, 1, 2, 0])
    assert all(int(b.is_forget.sum()) * 2 == len(b) for b in seen)


def test_halves_that_were_cut_to_different_lengths_are_padded_to_the_longer():
    lengths = torch.tensor([8, 40, 12, 33, 64, 20, 5, 50, 9, 64])
    features = torch.zeros(10, 64, 3)
    for row, length in enumerate(lengths.tolist()):
        features[row, :length] = row + 1

    def part(rows, is_forget):
        flags = torch.full((len(rows),), is_forget)
        return UtteranceSet(rows, rows % 3, flags, lambda r: (features[r], lengths[r]), durations=lengths[rows])

    d_f, d_r = part(torch.arange(3), True), part(torch.arange(3, 10), False)
    times = set()
    for batch in Paired(d_r, d_f).batches(4, torch.Generator().manual_seed(0)):
        times.add(batch.features.shape[1])
        assert torch.equal(batch.features, features[batch.utterances][:, : batch.features.shape[1]])
        assert torch.equal(batch.lengths, lengths[batch.utterances])
        assert int(batch.lengths.max()) <= batch.features.shape[1]
    assert len(times) > 1  # cut, not iterated at full length
