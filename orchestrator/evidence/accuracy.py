"""How well a model classifies a set: accuracy, macro-F1, cross-entropy, and the baselines to compare them with.

Everything is a fraction in 0-1 or in nats, and NaN where a set is empty: an empty set has no accuracy, not one of 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

NO_ANSWER = -1  # prediction of a row whose logits hold a NaN: no class, so it is wrong under every label
CHUNK_LOGITS = 2**20  # at once; in double precision and with what is computed of them some 50 MB
COLLAPSE_SHARE = 0.9  # of class-balanced predictions that one class takes

Labels = Int[np.ndarray, " n"]
Logits = Float[np.ndarray, "n classes"]


@dataclass(frozen=True)
class SetScores:
    """Scores of a model on one set."""

    accuracy: float
    macro_f1: float
    loss: float  # mean cross-entropy, nats


@dataclass(frozen=True)
class Answers:
    """A model's predictions and losses on n utterances: all that measures of sets need of its logits."""

    predicted: Labels  # as of `predictions`
    losses: Float[np.ndarray, " n"]  # as of `cross_entropy`


def answers(logits: Logits, labels: Labels) -> Answers:
    """Compute predictions and losses of all utterances, a chunk at a time: (N, C) logits may be mapped from a file."""
    _require_same_length(logits, labels)
    predicted, losses = np.empty(len(labels), dtype=np.int64), np.empty(len(labels), dtype=np.float64)
    for rows in chunks(*logits.shape):
        predicted[rows] = predictions(logits[rows])
        losses[rows] = cross_entropy(logits[rows], labels[rows])
    return Answers(predicted, losses)


def chunks(utterances: int, classes: int) -> Iterator[slice]:
    """Yield slices of rows of at most `CHUNK_LOGITS` logits, or of one row."""
    size = max(1, CHUNK_LOGITS // max(1, classes))
    yield from (slice(first, min(first + size, utterances)) for first in range(0, utterances, size))


def score_set(found: Answers, labels: Labels, rows: Labels) -> SetScores:
    """Compute accuracy, macro-F1 and mean cross-entropy of the utterances in these rows; all NaN if there are none."""
    predicted, named = found.predicted[rows], labels[rows]
    loss = float(found.losses[rows].mean()) if len(rows) else float("nan")
    return SetScores(accuracy(predicted, named), macro_f1(predicted, named), loss)


def predictions(logits: Logits) -> Labels:
    """Return (N,) the class with the largest logit, the first of equals; `NO_ANSWER` for a row with a NaN."""
    if not len(logits):
        return np.empty(0, dtype=np.int64)
    best: Labels = np.asarray(logits).argmax(axis=1).astype(np.int64)
    best[np.isnan(logits).any(axis=1)] = NO_ANSWER
    return best


def accuracy(predicted: Labels, labels: Labels) -> float:
    """Compute the share of utterances that are classified as labeled.

    Raises:
        ValueError: when there are not as many predictions as labels.
    """
    _require_same_length(predicted, labels)
    return float(np.mean(predicted == labels)) if len(labels) else float("nan")


def macro_f1(predicted: Labels, labels: Labels) -> float:
    """Compute the mean F1 over the classes present in `labels`; a class that is never predicted counts as 0."""
    _require_same_length(predicted, labels)
    if not len(labels):
        return float("nan")
    classes, named = np.unique(labels, return_counts=True)
    given = predicted[np.isin(predicted, classes)]
    called, hits = (
        np.bincount(np.searchsorted(classes, found), minlength=len(classes))
        for found in (given, labels[predicted == labels])
    )
    return float(np.mean(2 * hits / (named + called)))


def cross_entropy(logits: Logits, labels: Labels) -> Float[np.ndarray, " n"]:
    """Compute (N,) −log softmax(z)_y in nats, in double precision."""
    _require_same_length(logits, labels)
    wide = np.asarray(logits, dtype=np.float64)
    with np.errstate(invalid="ignore"):  # ∞ − ∞ is NaN, which says it
        losses: Float[np.ndarray, " n"] = logsumexp(wide, axis=1) - wide[np.arange(len(labels)), labels]
    return losses


def chance_accuracy(num_classes: int) -> float:
    """Compute the expected accuracy of drawing a class uniformly: 1 / C, whatever the labels are."""
    if num_classes < 1:
        raise ValueError(f"num_classes must be 1 or more; got {num_classes}")
    return 1 / num_classes


def constant_predictor_accuracy(train_labels: Labels, labels: Labels) -> float:
    """Compute the accuracy on `labels` of the most frequent class of `train_labels` (the lowest of equals).

    A model that does no better may have collapsed, however much it seems to have forgotten. NaN when either is empty.
    """
    if not len(train_labels) or not len(labels):
        return float("nan")
    return float(np.mean(labels == np.bincount(train_labels).argmax()))


def largest_prediction_share(predicted: Labels, labels: Labels) -> float:
    """Compute the share of predictions of the most predicted class, on a set whose classes count equally.

    Utterances are weighted by 1 / (size of their class). 1/K for a perfect model of K classes, 1 for a constant one;
    NaN when the set is empty.
    """
    _require_same_length(predicted, labels)
    if not len(labels):
        return float("nan")
    present, of_class, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights = 1 / (len(present) * counts[of_class])
    _, answers = np.unique(predicted, return_inverse=True)
    return float(np.bincount(answers, weights=weights).max())


def is_collapsed(predicted: Labels, labels: Labels) -> bool:
    """Return whether one class takes more than 90 % of the predictions on class-balanced D_v.

    A set with fewer than two classes cannot tell, and is never called collapsed.
    """
    rounding = 1e-9  # of a sum of weights: exactly 90 % is no collapse
    return len(np.unique(labels)) > 1 and largest_prediction_share(predicted, labels) > COLLAPSE_SHARE + rounding


def accuracy_by_class_group(predicted: Labels, labels: Labels, forgotten: Collection[int]) -> tuple[float, float]:
    """Compute the accuracy on the kept classes and on the forgotten ones, for class unlearning."""
    _require_same_length(predicted, labels)
    gone = np.isin(labels, list(forgotten))
    return accuracy(predicted[~gone], labels[~gone]), accuracy(predicted[gone], labels[gone])


def _require_same_length(values: np.ndarray[Any, Any], labels: Labels) -> None:
    if len(values) != len(labels):
        raise ValueError(f"Each utterance needs one label; got {len(values)} utterances and {len(labels)} labels.")
