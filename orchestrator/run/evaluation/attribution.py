"""Integrated gradients on features, added up to bins of time: which moments of an utterance speak for its label."""

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
    """Attribution of the label's logit to each feature, from a baseline of zeros.

    x · mean of ∂z_y/∂x over `steps` midpoints of the line from 0 to x (Sundararajan et al. 2017, arXiv 1703.01365).
    They add up to z_y(x) − z_y(0) as steps grow. Zero is the mean of centered log-mel features and of normalized
    waveforms; of Whisper's log-mel it is a middling level, not silence. The model keeps its mode and gets no gradient.
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
    """Sums over features and over at most 50 equal stretches of time."""
    over_time = attributions.flatten(start_dim=2).sum(dim=2) if attributions.ndim > 2 else attributions
    frames = over_time.shape[1]
    width = -(-frames // MOST_BINS)
    padded = functional.pad(over_time, (0, -frames % width))
    return padded.reshape(len(padded), -1, width).sum(dim=2)


@contextmanager
def _differentiable_in_features_only(model: Classifier) -> Iterator[None]:
    """No weight asks for a gradient, and recurrent layers leave cuDNN, which has no backward for them in eval mode."""
    asking = [p for p in model.parameters() if p.requires_grad]
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        with torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)


def attribution_maps(model: Classifier, batches: Iterator[Batch], steps: int) -> Float[Tensor, "n bins"]:
    """(n, bins) on the CPU, in eval mode; the mode before is restored."""
    was_training = getattr(model, "training", False)
    model.eval()
    found = [time_bins(integrated_gradients(model, batch, steps)).cpu() for batch in batches]
    model.train(was_training)
    return torch.cat(found)
