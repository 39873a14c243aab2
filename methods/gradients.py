"""Gradients of the cross-entropy over a set, walked and charged: their sum, and the diagonal of the Fisher matrix.

All are taken in eval mode, over the trainable weights, by parameter name. Squares need each utterance's own gradient:
the square of a batch's mean gradient shrinks with the batch (arXiv 2510.26714, App. B).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, autograd, nn, zeros_like

from methods.base import Batch, Classifier, UnlearningProblem, UtteranceSet
from methods.losses import cross_entropy
from methods.meter import FORWARD_SHARE

Gradients = dict[str, Tensor]
"""By parameter name, in the order of the model's parameters."""


def trainable(model: Classifier) -> dict[str, nn.Parameter]:
    """The weights that require a gradient, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def gradients_of(
    value: Float[Tensor, ""], weights: dict[str, nn.Parameter], *, retain_graph: bool = False
) -> Gradients:
    """∂value/∂θ, zero for weights that `value` does not depend on."""
    found = autograd.grad(value, list(weights.values()), allow_unused=True, retain_graph=retain_graph)
    return {name: zeros_like(p) if g is None else g for (name, p), g in zip(weights.items(), found, strict=True)}


def batch_gradient(problem: UnlearningProblem, batch: Batch, weights: dict[str, nn.Parameter]) -> Gradients:
    """∇ of the batch's mean CE; where memory is short, micro-batches add up to it."""
    total = {name: zeros_like(p) for name, p in weights.items()}
    for part in batch.parts(problem.micro_batch):
        loss = cross_entropy(problem.model, part).sum() / len(batch)
        for name, gradient in gradients_of(loss, weights).items():
            total[name] += gradient
    return total


def summed_gradient(problem: UnlearningProblem, utterances: UtteranceSet, batch_size: int) -> Gradients:
    """Σ ∇CE over the set, signed. The model's own gradients are gone afterwards: the sum is made in their place."""
    weights = trainable(problem.model)
    problem.model.eval()
    clear(weights)
    for batch in problem.walk(utterances, batch_size, backward=True, summed=True):
        cross_entropy(problem.model, batch).sum().backward()  # type: ignore[no-untyped-call]
    total = {name: zeros_like(p) if p.grad is None else p.grad for name, p in weights.items()}
    clear(weights)
    return total


def clear(weights: dict[str, nn.Parameter]) -> None:
    """No gradients, and no memory for them."""
    for p in weights.values():
        p.grad = None


def empirical_fisher(problem: UnlearningProblem, utterances: UtteranceSet) -> Gradients:
    """Mean over the set of (∇CE)², under the given labels: one forward and backward pass for each utterance."""
    weights = trainable(problem.model)
    total = {name: zeros_like(p) for name, p in weights.items()}
    problem.model.eval()
    for batch in problem.walk(utterances, 1, backward=True):
        for name, gradient in gradients_of(cross_entropy(problem.model, batch).sum(), weights).items():
            total[name].addcmul_(gradient, gradient, value=1 / len(utterances))
    return total


def model_fisher(problem: UnlearningProblem, utterances: UtteranceSet) -> Gradients:
    """Mean over the set of Σ_c p_c (∇log p_c)²: labels as f itself would draw them, C backward passes an utterance."""
    weights = trainable(problem.model)
    total = {name: zeros_like(p) for name, p in weights.items()}
    problem.model.eval()
    for batch in problem.walk(utterances, 1, backward=True):
        log_probabilities = problem.model(batch.features, batch.lengths).log_softmax(dim=-1)[0]
        for log_p in log_probabilities:
            for name, gradient in gradients_of(log_p, weights, retain_graph=True).items():
                total[name].addcmul_(gradient, gradient, value=log_p.exp().item() / len(utterances))
        problem.meter.charge(seconds=0.0, samples=(len(log_probabilities) - 1) * (1 - FORWARD_SHARE))  # time runs
    return total
