"""CoUn: views and contrast in NumPy, a loss that does not depend on the batch, and a planted class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch.nn import functional

from methods.base import Batch
from methods.coun import CoUn, ViewQueue, info_nce, masked_view
from methods.engine.losses import label_loss
from methods.modifiers.superloss import SuperLoss


def test_the_contrast_is_minus_the_log_share_of_the_other_view():
    generator = np.random.default_rng(0)
    one, two, negatives = (generator.normal(size=shape) for shape in ((4, 3), (4, 3), (4, 6)))
    scores = np.concatenate([(one * two).sum(axis=1, keepdims=True), negatives], axis=1)
    found = info_nce(*(torch.tensor(t) for t in (one, two, negatives)))
    np.testing.assert_allclose(found.numpy(), -log_softmax(scores, axis=1)[:, 0])


@pytest.mark.parametrize("channels", [(), (8,)], ids=["waveforms", "log-mel"])
def test_a_view_has_its_spans_replaced_by_the_mean_of_what_is_valid(channels):
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(5, 100, *channels, generator=generator) + 1
    lengths = torch.tensor([100, 60, 40, 20, 1])
    view = masked_view(features, lengths, torch.rand(5, 2, 2, generator=generator), 0.1, 0.25)
    for row, length in enumerate(lengths.tolist()):
        old, new = features[row], view[row]
        torch.testing.assert_close(new[length:], old[length:])
        changed = (new[:length] != old[:length]).reshape(length, -1)
        mean = old[:length].mean(dim=0).expand_as(old[:length]).reshape(length, -1)
        torch.testing.assert_close(new[:length].reshape(length, -1)[changed], mean[changed])
        in_time = int(changed.all(dim=1).sum())
        assert in_time <= 2 * int(0.1 * length)
        if length == 100:
            assert in_time >= 10
            if channels:
                assert 2 <= int(changed.all(dim=0).sum()) <= 4


def test_without_masks_a_view_is_the_utterance():
    features = torch.rand(3, 10, 4)
    assert torch.equal(masked_view(features, torch.full((3,), 10), torch.rand(3, 2, 2), 0.0, 0.0), features)


def test_the_queue_has_the_last_views_and_never_tells_an_utterance_from_itself():
    queue = ViewQueue(3, torch.tensor([7, 8]), torch.eye(2))
    batch = Batch(
        torch.zeros(2, 1), torch.ones(2), torch.zeros(2), torch.zeros(2, dtype=torch.bool), torch.tensor([8, 9])
    )
    view = torch.tensor([[3.0, 4.0], [1.0, 2.0]])
    found = queue.likeness(view, batch)
    assert found.tolist() == [[3.0, -torch.inf], [1.0, 2.0]]
    with torch.no_grad():
        queue.note(batch, view)  # SuperLoss's own call
    queue.note(batch, view)
    queue.move()
    assert queue.utterances.tolist() == [8, 8, 9]
    assert queue.views.tolist() == [[0.0, 1.0], [3.0, 4.0], [1.0, 2.0]]


def test_the_loss_is_the_labels_and_both_directions_of_the_contrast(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    method = CoUn(contrast_weight=0.7, temperature=0.5, queue=4, epochs=1)
    (only,) = method.passes(problem)
    drawn = kit.make_problem().retain.sample(4, torch.Generator().manual_seed(0))
    with torch.no_grad():  # lengths of 1 leave nothing to mask
        queue = functional.normalize(model.embed(kit.whole(drawn).features, None), dim=1).numpy()
    batch = kit.whole(problem.retain)
    embedded = functional.normalize(model.embed(batch.features, None), dim=1).detach().numpy()
    scores = embedded @ queue.T / 0.5
    scores[batch.utterances.numpy()[:, None] == drawn.utterances.numpy()] = -np.inf
    contrast = -log_softmax(np.concatenate([np.full((10, 1), 1 / 0.5), scores], axis=1), axis=1)[:, 0]
    expected = label_loss(model(batch.features, None), batch.labels).detach().numpy() + 0.7 * contrast
    np.testing.assert_allclose(only.loss(problem.model, batch).detach().numpy(), expected)
    assert not bool(only.over.is_forget.any())


@pytest.mark.parametrize("superloss", [None, SuperLoss(over="all")])
def test_micro_batches_take_the_same_steps(kit, superloss):
    ends = []
    for micro_batch in (None, 3):
        problem = kit.planted("class")
        kit.run(CoUn(epochs=1), problem, micro_batch=micro_batch, superloss=superloss)
        ends.append(kit.weights(problem.model))
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-3, atol=1e-5)


def test_a_planted_class_falls_to_where_the_others_are_and_an_utterance_costs_two(kit):
    problem = kit.planted("class")
    before = problem.accuracy(problem.model)
    kit.run(CoUn(rate_share=1.0, epochs=10, batch_size=16), problem, clip_norm=1.0)
    after = problem.accuracy(problem.model)
    assert before[0] == 1.0
    assert after[0] <= 0.3
    assert after[1] >= before[1] - 0.1
    assert problem.budget.samples == pytest.approx(10 * 2 * len(problem.retain) + len(problem.retain) / 3)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="queue must be 1 or more, got 0"):
        CoUn(queue=0)
    with pytest.raises(ValueError, match=r"time_share must be in \[0, 0.5\], got 0.6"):
        CoUn(time_share=0.6)
    with pytest.raises(ValueError, match="contrast_weight must be 0 or more, got -1"):
        CoUn(contrast_weight=-1.0)
