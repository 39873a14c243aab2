"""Integrated gradients on features, summed over bins of time: which moments of an utterance support its label."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from methods.base import Batch, Classifier

MOST_BINS = 50


def integrated_gradients(model: Classifier, batch: Batch, steps: int) -> Float[Tensor, "batch time ..."]:
    """Attribute the label's logit to each feature, from a baseline of zeros.

    x · mean of ∂z_y/∂x over `steps` midpoints of the line from 0 to x (Sundararajan et al. 2017, arXiv 1703.01365).
    They add up to z_y(x) − z_y(0) as steps grow. Zero is the mean of centered log-mel features and of normalized
    waveforms; of Whisper's log-mel it is a medium level, not silence. The model keeps its mode and gets no gradient.
    """
    total = torch.zeros_like(batch.features)
    with _differentiable_in_features_only(model):
        for step in range(steps):
            features = ((step + 0.5) / steps * batch.features).requires_grad_(True)
            logits = model(features, batch.lengths)
            (gradient,) = torch.autograd.grad(logits.gather(1, batch.labels[:, None]).sum(), features)
            total += gradient
    return (batch.features * total / steps).detach()


def time_bins(attributions: Float[Tensor, "batch time ..."]) -> Float[Tensor, "batch bins"]:
    """Sum over features and over at most 50 equal intervals of time."""
    over_time = attributions.flatten(start_dim=2).sum(dim=2) if attributions.ndim > 2 else attributions
    frames = over_time.shape[1]
    width = -(-frames // MOST_BINS)
    padded = functional.pad(over_time, (0, -frames % width))
    return padded.reshape(len(padded), -1, width).sum(dim=2)


@contextmanager
def _differentiable_in_features_only(model: Classifier) -> Iterator[None]:
    """Turn off gradients of weights, and cuDNN, which has no backward pass for recurrent layers in eval mode."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        with torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def attribution_maps(model: Classifier, batches: Iterator[Batch], steps: int) -> Float[Tensor, "n bins"]:
    """Return attributions (n, bins) on the CPU, computed in eval mode; the model's mode is restored."""
    was_training = getattr(model, "training", False)
    model.eval()
    found = [time_bins(integrated_gradients(model, batch, steps)).cpu() for batch in batches]
    model.train(was_training)
    return torch.cat(found)
