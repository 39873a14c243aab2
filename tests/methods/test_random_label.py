"""RandLabel: one step equals the step by hand in float64, and labels are wrong, uniform and redrawn on request."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from methods.engine.losses import label_loss
from methods.random_label import RandomLabel, wrong_labels


def test_random_label_takes_the_step_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    generator = torch.Generator().manual_seed(0)
    corrupted = wrong_labels(problem.forget.labels, 3, (), generator)
    forget, retain = kit.whole(problem.forget), kit.whole(problem.retain)
    loss_forget = label_loss(model(forget.features, forget.lengths), corrupted).sum()
    loss_retain = label_loss(model(retain.features, retain.lengths), retain.labels).sum()
    expected = kit.adamw_first_step(model, (loss_forget + 0.5 * loss_retain) / 16, 1e-3)
    kit.run(RandomLabel(learning_rate=1e-3, batch_size=64, retain_weight=0.5), problem)
    kit.assert_same(problem, expected)


def test_random_label_is_never_the_true_one_and_uniform_over_the_others():
    labels = torch.arange(4).repeat(3000)
    drawn = wrong_labels(labels, 4, (), torch.Generator().manual_seed(1))
    assert not (drawn == labels).any()
    counts = Counter(zip(labels.tolist(), drawn.tolist(), strict=True))
    assert len(counts) == 12
    assert all(850 < n < 1150 for n in counts.values())  # 1000 each, 5.8 standard deviations


def test_random_label_avoids_forgotten_classes():
    labels = torch.zeros(500, dtype=torch.long)
    drawn = wrong_labels(labels, 5, (0, 3), torch.Generator().manual_seed(1))
    assert set(drawn.tolist()) == {1, 2, 4}


def test_random_label_says_when_no_wrong_label_is_left():
    with pytest.raises(ValueError, match="no wrong label is left"):
        wrong_labels(torch.tensor([0]), 2, (1,), torch.Generator())


def test_labels_are_redrawn_each_epoch_only_when_requested(kit):
    for redraw, different in ((False, False), (True, True)):
        problem = kit.make_problem(forget=60)
        seen: list[dict[int, int]] = []
        for current in RandomLabel(epochs=2, redraw=redraw).passes(problem):
            labels: dict[int, int] = {}
            original = torch.nn.functional.cross_entropy

            def spy(logits, targets, *args, labels=labels, original=original, **kwargs):
                labels[len(labels)] = targets.tolist()
                return original(logits, targets, *args, **kwargs)

            torch.nn.functional.cross_entropy = spy
            try:
                current.loss(problem.model, kit.whole(problem.forget))
            finally:
                torch.nn.functional.cross_entropy = original
            seen.append(labels[0])
        assert (seen[0] != seen[1]) is different
