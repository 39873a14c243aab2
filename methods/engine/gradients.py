"""Gradients of the cross-entropy over a set, computed and charged: their sum, and the diagonal of the Fisher matrix.

All are taken in eval mode, over the trainable weights, by parameter name. Squares need each utterance's own gradient:
the square of a batch's mean gradient shrinks with the batch (arXiv 2510.26714, App. B).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn, zeros_like

from methods.base import Batch, Classifier, UnlearningProblem, UtteranceSet
from methods.engine.losses import cross_entropy
from methods.engine.per_utterance import CHUNK, Gradients, PerUtterance, Values, gradients_of


def trainable(model: Classifier) -> dict[str, nn.Parameter]:
    """Return the weights that require a gradient, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def batch_gradient(problem: UnlearningProblem, batch: Batch, weights: dict[str, nn.Parameter]) -> Gradients:
    """Return ∇ of the batch's mean CE; if memory is short, it is added up from micro-batches."""
    total = {name: zeros_like(p) for name, p in weights.items()}
    for part in batch.parts(problem.micro_batch):
        loss = cross_entropy(problem.model, part).sum() / len(batch)
        for name, gradient in gradients_of(loss, weights).items():
            total[name] += gradient
    return total


def summed_gradient(problem: UnlearningProblem, utterances: UtteranceSet, batch_size: int) -> Gradients:
    """Return the signed Σ ∇CE over the set. The sum replaces the model's own gradients, which are cleared."""
    weights = trainable(problem.model)
    problem.model.eval()
    clear(weights)
    for batch in problem.iterate(utterances, batch_size, backward=True, summed=True):
        cross_entropy(problem.model, batch).sum().backward()  # type: ignore[no-untyped-call]
    total = {name: zeros_like(p) if p.grad is None else p.grad for name, p in weights.items()}
    clear(weights)
    return total


def clear(weights: dict[str, nn.Parameter]) -> None:
    """Remove the gradients and free their memory."""
    for p in weights.values():
        p.grad = None


def empirical_fisher(problem: UnlearningProblem, utterances: UtteranceSet) -> Gradients:
    """Return the mean over the set of (∇CE)² under the given labels: one forward and backward per utterance."""

    def losses(model: Classifier, batch: Batch) -> tuple[Tensor, Tensor]:
        found = cross_entropy(model, batch)[:, None]
        return found, torch.full_like(found, 1 / len(utterances))

    return _summed_squares(problem, utterances, losses)


def model_fisher(problem: UnlearningProblem, utterances: UtteranceSet) -> Gradients:
    """Return the mean of Σ_c p_c (∇log p_c)², labels weighted by f's own output: C backwards per utterance."""

    def log_probabilities(model: Classifier, batch: Batch) -> tuple[Tensor, Tensor]:
        found = model(batch.features, batch.lengths).log_softmax(dim=-1)
        return found, found.detach().exp() / len(utterances)

    return _summed_squares(problem, utterances, log_probabilities)


def _summed_squares(problem: UnlearningProblem, utterances: UtteranceSet, values: Values) -> Gradients:
    weights = trainable(problem.model)
    total = {name: zeros_like(p) for name, p in weights.items()}
    problem.model.eval()
    gradients = PerUtterance(problem.model, weights, problem.budget.uncounted)
    for batch in problem.iterate(utterances, CHUNK, backward=True, summed=True):
        gradients.add_squares(total, batch, values)
    return total


def kth_smallest(values: Float[Tensor, " n"], k: int) -> Float[Tensor, ""]:
    """Return the k-th smallest value, which is deterministic on CUDA too: equal entries have one value."""
    strict = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        return values.kthvalue(k).values
    finally:
        torch.use_deterministic_algorithms(strict)
