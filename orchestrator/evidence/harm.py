"""How much the removal of some training utterances harms others, by a ridge regression whose removals are exact.

Source: influence on the loss of other examples is Koh and Liang's, arXiv 1703.04730, in closed form; forget requests
that are chosen to harm are those of arXiv 2410.09591 and 2507.10886, which choose by a network's own gradients.
Differs: here the attacker knows frozen embeddings and labels only, and takes utterances of D only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

RIDGE = 1e-2  # λ, of standardized embeddings, per utterance
ROUND = 0.01  # of D, after which influences are computed again
DIGITS = 9  # of an influence, relative to the largest: what differs by less is a tie
REQUESTS = 50  # random ones, with which a request is compared
MUCH = 2.0  # times the most harmful of these

Vectors = Float[np.ndarray, "n width"]
Weights = Float[np.ndarray, "width classes"]
Labels = Int[np.ndarray, " n"]


@dataclass(frozen=True)
class _Sums:
    """The normal equations of a ridge regression on one-hot labels; utterances are removed by subtraction."""

    gram: Float[np.ndarray, "width width"]
    by_class: Weights

    @classmethod
    def over(cls, x: Vectors, labels: Labels, classes: int) -> _Sums:
        return cls(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ np.eye(classes)[labels])

    def without(self, x: Vectors, labels: Labels) -> _Sums:
        removed = np.eye(self.by_class.shape[1])[labels]
        return _Sums(self.gram - x.T @ x, self.by_class - x.T @ removed)


def harmful_order(x: Vectors, labels: Labels, others: Vectors, other_labels: Labels, count: int) -> Labels:
    """Return (count,) positions into training utterances, the most harmful first; a shorter order is a prefix.

    Harm is the rise of the squared error on others when the utterance is removed. It is computed again after each 1 %
    of the utterances, as similar ones replace each other.

    Args:
        x: embeddings of training utterances.
        labels: of these, as trained on.
        others: embeddings of the utterances that are to suffer.
        other_labels: of these.
        count: how many to choose, at most all.
    """
    x, others = _standardized(x, others)
    classes = int(max(labels.max(), other_labels.max())) + 1
    sums, wanted = _Sums.over(x, labels, classes), np.eye(classes)
    left, order = np.arange(len(x)), np.empty(0, dtype=np.int64)
    step = max(1, round(ROUND * len(x)))
    while len(order) < min(count, len(x)):
        inverse = np.linalg.inv(sums.gram)
        weights = inverse @ sums.by_class
        gradient = inverse @ (others.T @ (others @ weights - wanted[other_labels]))
        mine = x[left]
        leverage = np.einsum("nw,wv,nv->n", mine, inverse, mine, optimize=True)
        harm = -((mine @ gradient) * (wanted[labels[left]] - mine @ weights)).sum(axis=1) / (1 - leverage)
        ranked = np.argsort(-np.round(harm / np.abs(harm).max(), DIGITS), kind="stable")[:step]
        taken = left[ranked]
        order, left = np.concatenate([order, taken]), np.setdiff1d(left, taken)
        sums = sums.without(x[taken], labels[taken])
    return order[:count]


@dataclass(frozen=True)
class Harm:
    """What a request costs others, and what random requests of its size cost at most: rises of the squared error."""

    rise: float  # relative to the error before
    random: float  # the largest of `REQUESTS` random requests, relative to the same
    utterances: int  # on which it is measured

    @property
    def much(self) -> bool:
        """Whether the request harms more than twice as much as each of the random ones, and at all."""
        return self.rise > 0 and self.rise > MUCH * max(self.random, 0.0)


def harm_of(
    x: Vectors, labels: Labels, forget: Labels, others: Vectors, other_labels: Labels, *, seed: int
) -> Harm | None:
    """Compare the harm of a removal with that of 50 random removals of the same size; None if nothing can be measured.

    Args:
        x: embeddings of training utterances.
        labels: of these.
        forget: positions of the request among them.
        others: embeddings of utterances of those who stay, which were not trained on.
        other_labels: of these.
        seed: of the random requests.
    """
    if not len(others) or not 0 < len(forget) < len(x) or not all(np.isfinite(part).all() for part in (x, others)):
        return None
    x, others = _standardized(x, others)
    classes = int(max(labels.max(), other_labels.max())) + 1
    sums, wanted = _Sums.over(x, labels, classes), np.eye(classes)[other_labels]

    def error(weights: Weights) -> float:
        return float(np.mean(np.sum((others @ weights - wanted) ** 2, axis=1)))

    inverse, rng = np.linalg.inv(sums.gram), np.random.default_rng(seed)
    weights = inverse @ sums.by_class
    before = error(weights)
    requests = [forget, *(rng.permutation(len(x))[: len(forget)] for _ in range(REQUESTS))]
    left = (_weights_without(x[rows], labels[rows], sums, inverse, weights) for rows in requests)
    rises = [error(found) / before - 1 for found in left]
    return Harm(rises[0], max(rises[1:]), len(others))


def _weights_without(
    x: Vectors, labels: Labels, sums: _Sums, inverse: Float[np.ndarray, "width width"], weights: Weights
) -> Weights:
    """Return the weights after the removal of utterances, by an equation for each utterance or for each feature."""
    if len(x) >= len(weights):
        left = sums.without(x, labels)
        without: Weights = np.linalg.solve(left.gram, left.by_class)
        return without
    removed, across = np.eye(weights.shape[1])[labels], x @ inverse
    found: Weights = weights - across.T @ np.linalg.solve(np.eye(len(x)) - across @ x.T, removed - x @ weights)
    return found


def _standardized(x: Vectors, others: Vectors) -> tuple[Vectors, Vectors]:
    """Return both by mean and deviation of the first, with a column of ones; constant features are left out."""
    x, others = x.astype(np.float64), others.astype(np.float64)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    kept = deviation > 1e-6 * max(float(deviation.max()), 1e-12)
    found = ((part[:, kept] - mean[kept]) / deviation[kept] for part in (x, others))
    first, second = (np.column_stack([part, np.ones(len(part))]) for part in found)
    return first, second
