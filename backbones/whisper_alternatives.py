"""Losses of many transcripts of one recording: beginnings that they share are read once, hopeless ones not to the end.

The decoder reads the beginnings as one sequence whose mask shows each token those before it, level by level.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from backbones.whisper_text import NO_TOKEN

AT_ONCE = 512  # transcripts; sorted ones share most of their beginnings
BEGINNINGS, TOKENS = 256, 1024  # whose scores are in memory at once

Read = Callable[[Tensor, Any, Tensor | None, Tensor | None], Tensor]
"""Tokens (1, n), a cache, a mask to be added to the scores and positions -> the decoder's vectors (1, n, width)."""


@torch.no_grad()
def whole_losses(
    read: Read,
    table: Float[Tensor, "vocabulary width"],
    prompt: Int[Tensor, "1 tokens"],
    targets: Int[Tensor, "n longest"],
) -> Float[Tensor, " n"]:
    """Return −log p of whole transcripts in nats; infinity for one that is found to be less likely than the first.

    Args:
        read: the decoder, of one recording.
        table: vectors of tokens, which are also the rows of the head.
        prompt: what precedes each transcript.
        targets: tokens, the end included, filled up with `NO_TOKEN`.
    """
    first = _losses(read, table, prompt, targets[:1], math.inf)
    rows = targets[1:].tolist()
    order = torch.tensor(sorted(range(len(rows)), key=rows.__getitem__), dtype=torch.long, device=targets.device) + 1
    found = first.repeat(len(targets))
    for part in torch.split(order, AT_ONCE):
        found[part] = _losses(read, table, prompt, targets[part], float(first))
    return found


def _losses(read: Read, table: Tensor, prompt: Tensor, targets: Tensor, most: float) -> Tensor:
    """Read level by level, and give up a transcript whose beginning alone exceeds `most`.

    Beginnings are judged by the tokens of the transcripts alone, which is a lower bound and costs little; the whole
    vocabulary is computed for the transcripts that are left.
    """
    from transformers import DynamicCache, EncoderDecoderCache

    cache, device, depths = EncoderDecoderCache(DynamicCache(), DynamicCache()), targets.device, targets.shape[1]
    some = table[torch.unique(targets[targets != NO_TOKEN])]
    levels = [read(prompt, cache, None, None)[0, -1:]]  # vectors of beginnings
    sees = torch.ones(1, prompt.shape[1], dtype=torch.bool, device=device)  # what each beginning is read after
    path = torch.full(targets.shape, -1, device=device)  # the beginning before each token, as a row of all levels
    rows, at, before = torch.arange(len(targets), device=device), torch.zeros_like(targets[:, 0]), 0
    least = torch.zeros(len(targets), device=device)
    for depth in range(depths):
        vectors, said = levels[-1], targets[rows, depth]
        path[rows, depth] = before + at
        scale = (vectors @ some.T).logsumexp(dim=-1)
        least[rows] += scale[at] - (vectors[at] * table[said]).sum(dim=-1)
        goes_on = targets[rows, min(depth + 1, depths - 1)] != NO_TOKEN
        kept = goes_on & ~(least[rows] > most) & (depth + 1 < depths)
        if not bool(kept.any()):
            break
        rows, before = rows[kept], before + len(vectors)
        beginnings, at = torch.unique(at[kept] * len(table) + said[kept], return_inverse=True)
        sees = torch.cat([sees[beginnings // len(table)], torch.eye(len(beginnings), device=device) > 0], dim=1)
        mask = torch.zeros(sees.shape, device=device).masked_fill(~sees, -torch.inf)[None, None]
        positions = torch.full((1, len(beginnings)), prompt.shape[1] + depth, device=device)
        levels.append(read((beginnings % len(table))[None], cache, mask, positions)[0])
    left = ~(least > most)
    total = torch.full((len(targets),), torch.inf, device=device)
    total[left] = _by_whole_vocabulary(torch.cat(levels), table, path[left], targets[left])
    return total


def _by_whole_vocabulary(vectors: Tensor, table: Tensor, path: Tensor, targets: Tensor) -> Tensor:
    """Return the losses of transcripts whose beginnings have these vectors."""
    used, own = torch.unique(path[path >= 0]), path >= 0
    scale = torch.zeros(len(vectors), device=vectors.device)
    for part in torch.split(used, BEGINNINGS):  # blocks of the vocabulary stay in a processor's cache
        blocks = [(vectors[part] @ block.T).logsumexp(dim=-1) for block in torch.split(table, TOKENS)]
        scale[part] = torch.stack(blocks).logsumexp(dim=0)
    each = torch.zeros(path.shape, device=vectors.device)
    each[own] = scale[path[own]] - (vectors[path[own]] * table[targets[own]]).sum(dim=-1)
    return each.sum(dim=1)
