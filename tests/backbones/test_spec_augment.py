from __future__ import annotations

import numpy as np
import pytest
import torch

from backbones.spec_augment import time_masks


def masks(seed: int = 0, lengths: tuple[int, ...] = (49,) * 200, frames: int = 49) -> torch.Tensor:
    torch.manual_seed(seed)
    return time_masks(torch.tensor(lengths), frames, share=0.05, span=10, min_spans=2)


def test_one_second_clips_lose_a_third_of_their_frames() -> None:
    share = masks().float().mean()
    assert 0.34 < share < 0.40


def test_masks_come_from_torchs_seed_alone() -> None:
    np.random.seed(0)
    first = masks(seed=4)
    np.random.seed(1)
    assert torch.equal(first, masks(seed=4))
    assert not torch.equal(first, masks(seed=5))


def test_each_row_is_masked_in_whole_spans_within_its_utterance() -> None:
    drawn = masks(lengths=(30,) * 50)
    assert not drawn[:, 30:].any()
    assert set(drawn.sum(dim=1).tolist()) <= set(range(11, 21))  # two spans of 10 at different starts
    edges = drawn.int().diff(
        dim=1, prepend=torch.zeros(50, 1, dtype=torch.int), append=torch.zeros(50, 1, dtype=torch.int)
    )
    starts, ends = (edges == 1).nonzero()[:, 1], (edges == -1).nonzero()[:, 1]
    assert ((ends - starts) >= 10).all()


def test_utterances_shorter_than_a_span_stay_whole() -> None:
    assert not masks(lengths=(9, 5)).any()


def test_clips_shorter_than_a_span_are_refused() -> None:
    with pytest.raises(ValueError, match="got 9 frames, allowed: 10 or more"):
        masks(lengths=(9,), frames=9)
