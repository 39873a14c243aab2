from __future__ import annotations

import pytest
import torch


@pytest.mark.parametrize(("count", "expected"), [(4, 4), (0, 0), (99, 10)])
def test_a_drawn_part_has_no_utterance_twice_and_keeps_the_order_and_the_labels(kit, count, expected):
    _, retain, _ = kit.make_sets()
    drawn = retain.drawn(count, torch.Generator().manual_seed(2))
    rows = drawn.utterances.tolist()
    assert len(rows) == expected
    assert rows == sorted(set(rows))
    assert set(rows) <= set(retain.utterances.tolist())
    assert drawn.labels.tolist() == [row % 3 for row in rows]


def test_a_draw_is_the_generators_first_permutation(kit):
    _, retain, _ = kit.make_sets()
    first = torch.randperm(10, generator=torch.Generator().manual_seed(2))[:4]
    drawn = retain.drawn(4, torch.Generator().manual_seed(2))
    assert drawn.utterances.tolist() == retain.utterances[first].sort().values.tolist()
