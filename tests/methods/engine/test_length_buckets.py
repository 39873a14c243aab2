from __future__ import annotations

import torch

from methods.engine.length_buckets import SHAPES, bucketed, cut


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_every_utterance_is_in_one_batch_and_one_batch_may_be_smaller():
    durations = torch.randint(100, 900, (1003,), generator=seeded(0))
    batches = bucketed(durations, 8, seeded(1))
    assert torch.equal(torch.cat(batches).sort().values, torch.arange(1003))
    assert sorted({len(batch) for batch in batches}) == [3, 8]


def test_batches_waste_less_than_random_ones():
    durations = torch.randint(100, 900, (1000,), generator=seeded(0))

    def padding(batches):
        return sum(int((durations[b].max() - durations[b]).sum()) for b in batches)

    assert padding(bucketed(durations, 8, seeded(1))) < 0.2 * padding(torch.randperm(1000).split(8))


def test_batches_follow_from_the_generator_and_are_not_sorted_themselves():
    durations = torch.arange(640)
    batches = bucketed(durations, 8, seeded(1))
    again, other = bucketed(durations, 8, seeded(1)), bucketed(durations, 8, seeded(2))
    assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(batches, other, strict=True))
    firsts = torch.tensor([int(batch[0]) for batch in batches])
    assert not torch.equal(firsts, firsts.sort().values)


def test_a_cut_leaves_all_speech_and_one_of_few_shapes():
    features = torch.ones(2, 100, 4)
    assert cut(features, torch.tensor([27, 5])).shape == (2, 28, 4)
    assert cut(features, torch.tensor([29, 5])).shape == (2, 42, 4)
    assert cut(features, torch.tensor([100, 5])).shape == (2, 100, 4)
    assert len({cut(features, torch.tensor([n])).shape[1] for n in range(1, 101)}) == SHAPES


def test_a_set_is_iterated_in_buckets_only_when_it_has_durations(kit):
    forget, retain, _ = kit.make_sets()
    longer = torch.arange(len(forget) + len(retain))
    union = kit.replace(forget, durations=longer[:6]) + kit.replace(retain, durations=longer[6:])
    found = [batch.utterances for batch in union.batches(4, seeded(0))]
    assert sorted(torch.cat(found).tolist()) == list(range(16))
    assert all(int(picked.max() - picked.min()) == 3 for picked in found)  # neighbors in length
    assert union.select(union.is_forget).durations.tolist() == list(range(6))
    assert (forget + kit.replace(retain, durations=longer[6:])).durations is None
