"""Non-members that are as long and as loud as D_f: what is easy because of its recording is no sign of membership."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

CALIPER = 0.25  # largest distance of a pair, in standard deviations
MOST = 500  # utterances of a class on a side: the cost of an assignment grows with the cube

Covariates = Float[np.ndarray, "n covariates"]
Labels = Int[np.ndarray, " n"]


def matched_by_covariates(
    mine: Covariates, theirs: Covariates, my_labels: Labels, their_labels: Labels, rng: np.random.Generator
) -> tuple[Labels, Labels]:
    """Return places of pairs of one class whose covariates differ by at most a quarter of a standard deviation.

    Caliper matching (Rosenbaum & Rubin, Am. Stat. 39, 1985), class by class, with the smallest total distance.

    Limits: what the covariates do not measure (noise, accent) is not matched, and pairs that cannot be matched are left
    out, so that the figure is about the others.

    Args:
        mine: of D_f: logarithm of the duration, and level in dB, if they are known.
        theirs: of non-members.
        my_labels: (n,).
        their_labels: (m,).
        rng: which utterances are used of classes with more than 500 on a side.
    """
    deviations = np.concatenate([mine, theirs]).std(axis=0)
    scale = np.where(deviations > 0, deviations, 1.0)
    kept, others = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for label in np.unique(my_labels):
        a, b = (rng.permutation(np.flatnonzero(labels == label))[:MOST] for labels in (my_labels, their_labels))
        distance = cdist(mine[a] / scale, theirs[b] / scale)
        rows, columns = linear_sum_assignment(np.where(distance > CALIPER, 1e6, distance))
        close = distance[rows, columns] <= CALIPER
        kept.append(a[rows[close]])
        others.append(b[columns[close]])
    return np.concatenate(kept), np.concatenate(others)
