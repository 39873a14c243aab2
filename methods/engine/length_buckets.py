"""Batches of utterances of similar length, cut to the longest: less padding goes through the model.

After the sorted sampling of speech toolkits (Kaldi, SpeechBrain's DynamicBatchSampler): a random order is cut into
pools, each pool sorted by length and cut into batches, and the batches shuffled.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

POOL = 32  # batches that are sorted together: fewer mix better, more waste less
SHAPES = 8  # lengths that a batch may be cut to, so that kernels and compiled graphs meet few shapes


def bucketed(durations: Int[Tensor, " n"], batch_size: int, generator: torch.Generator) -> list[Int[Tensor, " batch"]]:
    """Choose the utterances of each batch of one epoch; one batch may be smaller, none is dropped."""
    order = torch.randperm(len(durations), generator=generator)
    batches: list[Tensor] = []
    for pool in torch.split(order, POOL * batch_size):
        batches += torch.split(pool[durations[pool].argsort(stable=True)], batch_size)
    return [batches[at] for at in torch.randperm(len(batches), generator=generator).tolist()]


def cut(features: Float[Tensor, "batch time ..."], lengths: Int[Tensor, " batch"]) -> Float[Tensor, "batch short ..."]:
    """Cut the padding that all rows share, in steps of an eighth of the time axis; log-mel needs even lengths."""
    time = features.shape[1]
    step = 2 * -(-time // (2 * SHAPES))
    return features[:, : min(time, -(-int(lengths.max()) // step) * step)]
