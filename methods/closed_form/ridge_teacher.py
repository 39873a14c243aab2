"""A teacher that was not trained on D_f: closed-form ridge regression on the outputs of the frozen pretrained encoder.

Source: least squares on one-hot labels (Hoerl and Kennard, Technometrics 1970); means and deviations over time of every
layer as an utterance's vector, after the pooled layers of SUPERB (Yang et al., 2021, arXiv 2105.01051) and statistics
pooling (Snyder et al., ICASSP 2018).
Limit: the statistics are over all frames of a clip, padding too, also where the backbone masks it.

Sums over D_r are made batch by batch (`methods.closed_form.vector_sums`), so memory does not depend on its size.
Vectors of more than 4,096 numbers, the width of Whisper tiny, are folded to as many: at most 0.5 GB for any network and
any D_r.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from methods.base import Batch, Classifier, UnlearningProblem, UtteranceSet
from methods.closed_form.vector_sums import VectorSums

PENALTIES = (1.0, 10.0, 100.0, 1000.0)  # of ‖W‖², per class; the vectors are standardized
TEACHER_BATCH = 64


def layer_statistics(model: Classifier, batch: Batch) -> Float[Tensor, "batch width"]:
    """Return mean and standard deviation over time of each block's output except the head's; no gradient.

    If a block returns one vector per utterance, the vector itself is used.
    """
    found: list[Tensor] = []

    def listen(_module: object, _inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        frames = output[0] if isinstance(output, tuple) else output
        frames = frames.to(torch.promote_types(frames.dtype, torch.float32))  # under autocast the blocks give bfloat16
        if frames.ndim == 2:
            found.append(frames)
        else:  # (B, time, width), or (B, channels, height, time) of a network of images
            over = (1,) if frames.ndim == 3 else (2, 3)
            found.extend([frames.mean(dim=over), frames.std(dim=over, correction=0)])

    hooks = [block.register_forward_hook(listen) for block in model.blocks[:-1]]
    try:
        with torch.no_grad():
            model.embed(batch.features, batch.lengths)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat(found, dim=1).double()


def teacher_scores(
    problem: UnlearningProblem, encoder: Classifier | None = None
) -> tuple[Float[Tensor, "forget classes"], Float[Tensor, "unheard classes"]]:
    """Fit a head on D_r, with the penalty that is best on D_v, and return its scores on D_f and D_v.

    The head reads the pretrained encoder, or another one that is given.
    Charged as one forward over all three sets, and the time of the solutions.

    Raises:
        BudgetSpent: when the budget is spent before that.
    """
    encoder = problem.fresh_model() if encoder is None else encoder
    encoder.eval()

    def vectors(utterances: UtteranceSet) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in problem.iterate(utterances, TEACHER_BATCH, backward=False):
            yield layer_statistics(encoder, batch), batch.labels

    sums: VectorSums | None = None
    for found, labels in vectors(problem.retain):
        sums = sums or VectorSums.like(found, problem.num_classes)
        sums.add(found, labels)
    assert sums is not None, "D_r is never empty"
    with problem.budget.charging():
        heads = sums.heads(PENALTIES)
    forget, unheard = (
        [torch.stack([head.scores(found) for head in heads]) for found, _ in vectors(utterances)]
        for utterances in (problem.forget, problem.validation)
    )
    mine, theirs = torch.cat(forget, dim=1), torch.cat(unheard, dim=1)
    expected = problem.validation.labels.to(theirs.device)
    best = int((theirs.argmax(dim=2) == expected).sum(dim=1).argmax())  # the first of equals
    problem.budget.check()
    return mine[best], theirs[best]
