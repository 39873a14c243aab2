"""Linear probe: is the forgotten class or speaker still a direction in what the head reads?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = 5


@dataclass(frozen=True)
class Probe:
    """How well a linear classifier separates the forgotten class or speaker in frozen embeddings."""

    auc: float  # mean over folds
    positives: int
    negatives: int


def linear_probe(embeddings: Float[np.ndarray, "n width"], wanted: Bool[np.ndarray, " n"], *, seed: int) -> Probe:
    """Cross-validate a logistic regression on standardized embeddings, classes weighted equally.

    After the representation probes of arXiv 2503.06991. A head that no longer names a class hides it only: what the
    probe still finds can be had back by training a head. Retrain is the target, not 0.5: a model that never saw a
    class often separates it well. With more dimensions than utterances the figure is noisy.

    Args:
        embeddings: of utterances, from a frozen model.
        wanted: which of them are of the forgotten class or speaker.
        seed: of the folds.

    Returns:
        NaN with fewer than five utterances on a side, or when an embedding is not finite.
    """
    positives = int(wanted.sum())
    negatives = len(wanted) - positives
    if min(positives, negatives) < FOLDS or not np.isfinite(embeddings).all():
        return Probe(float("nan"), positives, negatives)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed % 2**32)
    aucs = []
    for train, test in folds.split(embeddings, wanted):
        probe: Any = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
        probe.fit(embeddings[train], wanted[train])
        aucs.append(roc_auc_score(wanted[test], probe.decision_function(embeddings[test])))
    return Probe(float(np.mean(aucs)), positives, negatives)
