"""Random values of each utterance that are the same whenever it is in a batch: kept, or drawn again from a seed a row.

A classifier's are one number a class, drawn at once and kept. A recognizer's are one number for each step and output:
for Whisper's vocabulary 6 MB an utterance, so that they are drawn again for each batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from methods.base import Batch, UnlearningProblem
from methods.engine.answers import CLASSES, own_steps, target_of
from methods.engine.transfer import sent

SEEDS = 2**32  # that torch's generator on the host distinguishes

Draws = Callable[[Batch, Float[Tensor, "batch *steps outputs"]], Float[Tensor, "batch *steps outputs"]]
"""-> the values of a batch with the shape, type and device of its logits; 0 in steps that are no utterance's own."""


def gumbel_noise(problem: UnlearningProblem, rows: Int[Tensor, " n"]) -> Draws:
    """Draw standard Gumbel noise for the logits of some utterances.

    Args:
        problem: whose generator gives the values of a classifier, and of a recognizer the seed.
        rows: the utterances, ascending, on the host.
    """
    if target_of(problem.model) != CLASSES:
        return _by_row(int(torch.randint(SEEDS, (), generator=problem.generator)))
    drawn = -torch.empty(len(rows), problem.num_classes).exponential_(generator=problem.generator).log()

    def kept(batch: Batch, logits: Tensor) -> Tensor:
        return sent(drawn[torch.searchsorted(rows, batch.utterances)], logits.device).to(logits.dtype)

    return kept


def _by_row(seed: int) -> Draws:
    def again(batch: Batch, logits: Tensor) -> Tensor:
        noise, own = torch.zeros(logits.shape), own_steps(logits).cpu()
        for place, row in enumerate(batch.utterances.tolist()):
            generator = torch.Generator().manual_seed((seed + row) % SEEDS)
            drawn = torch.empty(int(own[place].sum()), logits.shape[-1]).exponential_(generator=generator)
            noise[place, own[place]] = -drawn.log()
        return sent(noise, logits.device).to(logits.dtype)

    return again
