"""How far a model's outputs are from Retrain's, or from those of a model that knows nothing; in nats or fractions.

A distance of 0 is no target that can be reached: two Retrains with different seeds differ as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import xlogy
from scipy.stats import ks_2samp, wasserstein_distance

from orchestrator.evidence.membership import LOSS_CLIP
from orchestrator.evidence.outputs import NO_CLASS, Outputs

Vector = Float[np.ndarray, " n"]
Labels = Int[np.ndarray, " n"]
Probabilities = Float[np.ndarray, "n classes"]


def js_divergence(p: Probabilities, q: Probabilities) -> Vector:
    """Compute (n,) ½ KL(p ‖ m) + ½ KL(q ‖ m) with m = (p + q) / 2, nats; from 0 to ln 2 (Lin 1991)."""
    if p.shape != q.shape:
        raise ValueError(f"p and q must have the same shape; got {p.shape} and {q.shape}")
    m = (p + q) / 2
    halves = [np.sum(xlogy(a, a) - xlogy(a, np.where(m > 0, m, 1.0)), axis=1) for a in (p, q)]
    found: Vector = np.maximum(0.0, (halves[0] + halves[1]) / 2)
    return found


def output_divergence(these: Outputs, those: Outputs) -> Vector:
    """Compute the (n,) Jensen–Shannon divergence of two models' outputs, utterance by utterance, nats.

    Where only the top five classes and the label are stored, classes that one model does not name are taken together
    in both: the figure is then a lower bound (merging classes never increases it). NaN for recognizers, whose
    distributions are not stored.

    Raises:
        ValueError: the utterances are not the same ones in the same order.
    """
    if not np.array_equal(these.utterance_ids, those.utterance_ids):
        raise ValueError(f"outputs must be of the same utterances; got {len(these)} and {len(those)} different ones")
    if not (these.has_distributions and those.has_distributions):
        return np.full(len(these), np.nan)
    if these.complete and those.complete:
        return js_divergence(np.exp(these.log_probabilities), np.exp(those.log_probabilities))
    found = [_merged(*rows) for rows in zip(_known(these), _known(those), strict=True)]
    return np.array([js_divergence(p[None], q[None])[0] for p, q in found])


def _known(outputs: Outputs) -> list[dict[int, float]]:
    p = np.exp(outputs.log_probabilities)
    return [
        {int(c): float(v) for c, v in zip(classes, values, strict=True) if c != NO_CLASS}
        for classes, values in zip(outputs.classes, p, strict=True)
    ]


def _merged(a: dict[int, float], b: dict[int, float]) -> tuple[Vector, Vector]:
    both = sorted(set(a) & set(b))
    p, q = (np.array([known[c] for c in both]) for known in (a, b))
    return np.append(p, max(0.0, 1 - p.sum())), np.append(q, max(0.0, 1 - q.sum()))


def ks_distance(these: Vector, those: Vector) -> float:
    """Compute sup |F − G| of two empirical distributions, 0-1 (Kolmogorov–Smirnov); of losses on D_f against Retrain's.

    Its p-value is TOFU's "forget quality" (arXiv 2401.06121). We keep the distance: p falls with |D_f| alone.
    NaN when a set is empty or holds a NaN.
    """
    if not len(these) or not len(those) or np.isnan(these).any() or np.isnan(those).any():
        return float("nan")
    return float(ks_2samp(these, those).statistic)


def loss_distance(
    these: Vector, those: Vector, these_labels: Labels | None = None, those_labels: Labels | None = None
) -> float:
    """Compute the W1 distance (earth mover's) of two sets' losses, nats; losses are cut at 100.

    With labels, only classes that both sets have count, and each class has the weight in the second set that it has in
    the first, so that a set of other words is no distance. NaN if nothing is left or a loss is NaN.
    """
    weights = None
    if these_labels is not None and those_labels is not None:
        mine, theirs = np.isin(these_labels, those_labels), np.isin(those_labels, these_labels)
        these, those, these_labels, those_labels = these[mine], those[theirs], these_labels[mine], those_labels[theirs]
        classes, counts = np.unique(these_labels, return_counts=True)
        place = np.searchsorted(classes, those_labels)
        weights = counts[place] / np.bincount(place, minlength=len(classes))[place] if len(place) else None
    if not len(these) or not len(those) or np.isnan(these).any() or np.isnan(those).any():
        return float("nan")
    cut = (np.minimum(losses, LOSS_CLIP) for losses in (these, those))
    return float(wasserstein_distance(*cut, v_weights=weights))


def zrf(batches: Iterable[tuple[Probabilities, Probabilities]]) -> float:
    """Compute zero-retrain forgetting: 1 − mean over D_f of JS(unlearned, incompetent), nats; 1 − ln 2 to 1.

    `batches` are of D_f, with what either model says of them.

    Source: Chundawat et al. 2023 (arXiv 2205.08096); the incompetent model has random weights. 1 means
    "as ignorant as a random model", which for sample unlearning is further than Retrain: compare with Retrain's.
    """
    apart = np.concatenate([np.empty(0), *(js_divergence(unlearned, other) for unlearned, other in batches)])
    return float(1 - apart.mean()) if len(apart) else float("nan")


@dataclass(frozen=True)
class Streisand:
    """How conspicuous D_f is, by confidence unlike Retrain's: unlearning that draws attention."""

    wasserstein: float  # mean distance between the sorted confidences p_y, 0-1
    shift: float  # mean p_y minus Retrain's; below 0 is over-unlearning
    below: float  # share of D_f under Retrain's 5 % quantile of p_y; 0.05 is Retrain's own


def streisand(confidence: Vector, retrained: Vector) -> Streisand:
    """Compare the confidence p_y on D_f with that of Retrain, as distributions; NaN if one is empty.

    After Golatkar et al. 2020 (arXiv 1911.04933), who name the effect. Not against chance: Retrain too is confident
    on much of D_f. Needs no pairs, and sees no utterances that trade places.
    """
    if not len(confidence) or not len(retrained):
        return Streisand(float("nan"), float("nan"), float("nan"))
    return Streisand(
        wasserstein=float(wasserstein_distance(confidence, retrained)),
        shift=float(confidence.mean() - retrained.mean()),
        below=float(np.mean(confidence < np.quantile(retrained, 0.05))),
    )
