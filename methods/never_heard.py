"""A teacher that never heard D_f: ridge regression, in closed form, on what the frozen pretrained encoder hears.

Source: least squares on one-hot labels (Hoerl and Kennard, Technometrics 1970); means and deviations over time of every
layer as an utterance's vector, after the pooled layers of SUPERB (Yang et al., 2021, arXiv 2105.01051) and statistics
pooling (Snyder et al., ICASSP 2018).
Limit: the statistics are over all frames of a clip, padding too, also where the backbone masks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from methods.base import Batch, Classifier, UnlearningProblem, UtteranceSet

PENALTIES = (1.0, 10.0, 100.0, 1000.0)  # of ‖W‖², per class; the vectors are standardised
IMPOSSIBLE = -1e4  # the score of a class of which D_r has no utterance
WALK_BATCH = 64


def layer_statistics(model: Classifier, batch: Batch) -> Float[Tensor, "batch width"]:
    """Mean and standard deviation over time of each block's output, the head's apart, side by side; no gradient.

    Where a block gives one vector an utterance, the vector itself.
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


@dataclass(frozen=True)
class RidgeHead:
    """Scores of classes, linear in standardised vectors."""

    centre: Float[Tensor, " width"]
    scale: Float[Tensor, " width"]
    weights: Float[Tensor, "width+1 classes"]  # the last row is the bias
    absent: tuple[int, ...]  # classes that were not there to learn

    def scores(self, vectors: Float[Tensor, "n width"]) -> Float[Tensor, "n classes"]:
        """About 1 for the class that fits and 0 for others; `IMPOSSIBLE` for absent classes."""
        found = with_bias((vectors - self.centre) / self.scale) @ self.weights
        found[:, list(self.absent)] = IMPOSSIBLE
        return found


def with_bias(vectors: Float[Tensor, "n width"]) -> Float[Tensor, "n width+1"]:
    """A column of ones at the end."""
    return torch.cat([vectors, vectors.new_ones(len(vectors), 1)], dim=1)


def fit_ridge(
    vectors: Float[Tensor, "n width"], labels: Int[Tensor, " n"], num_classes: int, penalties: Sequence[float]
) -> list[RidgeHead]:
    """argmin_W ‖XW − Y‖² + penalty · ‖W‖², Y one-hot, for each penalty; the bias is not penalised."""
    centre, scale = vectors.mean(dim=0), vectors.std(dim=0, correction=0).clamp(min=1e-6)
    design = with_bias((vectors - centre) / scale)
    targets = torch.nn.functional.one_hot(labels, num_classes).to(design)
    absent = tuple((targets.sum(dim=0) == 0).nonzero().flatten().tolist())
    gram, moments = design.T @ design, design.T @ targets
    one = torch.ones_like(gram.diagonal())
    one[-1] = 0.0
    return [
        RidgeHead(centre, scale, torch.linalg.solve(gram + torch.diag(penalty * one), moments), absent)
        for penalty in penalties
    ]


def never_heard(problem: UnlearningProblem) -> tuple[Float[Tensor, "forget classes"], Float[Tensor, "unheard classes"]]:
    """Scores on D_f and on D_v of the head that is fitted on D_r, with the penalty that is best on D_v.

    Charged as one forward over all three, and the time of the solutions.

    Raises:
        BudgetSpent: when the budget is used up before they are there.
    """
    encoder = problem.fresh_model()
    encoder.eval()

    def vectors(utterances: UtteranceSet) -> Tensor:
        walk = problem.walk(utterances, WALK_BATCH, backward=False)
        return torch.cat([layer_statistics(encoder, batch) for batch in walk])

    retain, forget, unheard = (vectors(s) for s in (problem.retain, problem.forget, problem.validation))
    device = retain.device
    labels, expected = problem.retain.labels.to(device), problem.validation.labels.to(device)
    with problem.meter.charging():
        heads = fit_ridge(retain, labels, problem.num_classes, PENALTIES)
        right = [int((head.scores(unheard).argmax(dim=1) == expected).sum()) for head in heads]
        best = heads[right.index(max(right))]
        found = best.scores(forget), best.scores(unheard)
    problem.meter.check()
    return found
