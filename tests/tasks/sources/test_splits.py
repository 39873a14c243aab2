from __future__ import annotations

import numpy as np
import pytest

from orchestrator.tasks.sources.splits import require_share, split_groups, stratified_share


@pytest.mark.parametrize("seed", range(5))
def test_every_class_gives_its_share_exactly_and_every_speaker_nearly(seed: int) -> None:
    labels = np.repeat(["yes", "no", "up"], [100, 50, 7])
    speakers = np.array([f"s{number % 5}" for number in range(len(labels))])
    chosen = stratified_share(list(labels), list(speakers), 0.2, np.random.default_rng(seed))
    for label, count in (("yes", 20), ("no", 10), ("up", 1)):
        assert chosen[labels == label].sum() == count
    for label in ("yes", "no"):
        for speaker in np.unique(speakers):
            cell = (labels == label) & (speakers == speaker)
            assert abs(chosen[cell].sum() - 0.2 * cell.sum()) <= 1


def test_the_drawn_share_follows_the_seed() -> None:
    labels, speakers = ["yes"] * 100, [""] * 100
    draws = [stratified_share(labels, speakers, 0.1, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_whole_and_every_split_gets_its_share(seed: int) -> None:
    groups = np.repeat(np.arange(20), 5)
    splits = split_groups(groups.tolist(), {"test": 0.1, "validation": 0.05}, np.random.default_rng(seed))
    assert all(len(set(splits[groups == group])) == 1 for group in range(20))
    assert [(splits == split).sum() for split in ("train", "validation", "test")] == [85, 5, 10]


def test_train_and_every_split_keep_one_group_when_there_are_just_enough() -> None:
    splits = split_groups(["a", "b", "c"], {"test": 0.9, "validation": 0.9}, np.random.default_rng(0))
    assert sorted(splits) == ["test", "train", "validation"]


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="got 2, allowed: 3 or more"):
        split_groups(["a", "b", "a"], {"test": 0.1, "validation": 0.1}, np.random.default_rng(0))


@pytest.mark.parametrize("share", [-0.1, 1.0, 5])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"test_share must lie in \[0, 1\), got"):
        require_share("test_share", share)
