"""U-LiRA: are the outputs on an utterance those of a model that unlearned it, or of one that never saw it?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

Vector = Float[np.ndarray, " n"]
Models = Float[np.ndarray, "models n"]

FEWEST = 2  # shadow models of either kind for one utterance
OWN_VARIANCE_FROM = 16  # models from which each utterance has a variance of its own
SMALLEST_SPREAD = 1e-6  # of φ


def u_lira(target: Vector, unlearned: Models, retrained: Models) -> Vector:
    """Compute (n,) log N(φ; unlearned) − log N(φ; never seen): above 0 is classified as unlearned.

    Source: Hayes et al. 2024 (arXiv 2403.01218), whose score p_f / (p_f + p_n) is the logistic function of this one.
    Gaussians are fitted to φ = log p / (1 − p) of each utterance; with fewer than 16 models of a kind their variance is
    pooled over utterances, as LiRA does (Carlini et al. 2022, §VI).

    Limits: the source trains hundreds of models. With the few seeds of a sweep this is a weak attack: an AUC of 0.5
    then says little, one above it says much.

    Args:
        target: φ of the attacked model.
        unlearned: φ of models that were trained on x and then unlearned it; NaN where one was not.
        retrained: φ of models that never saw x; NaN where one did.

    Returns:
        NaN where fewer than two models of a kind are left.
    """
    mean_f, spread_f = _gaussians(unlearned)
    mean_n, spread_n = _gaussians(retrained)
    return np.asarray(norm.logpdf(target, mean_f, spread_f) - norm.logpdf(target, mean_n, spread_n))


def _gaussians(models: Models) -> tuple[Vector, Vector]:
    there = ~np.isnan(models)
    count = there.sum(axis=0)
    enough = count >= FEWEST
    safe = np.maximum(count, 1)
    mean = np.where(there, models, 0.0).sum(axis=0) / safe
    squares = np.where(there, models - mean, 0.0) ** 2
    own = squares.sum(axis=0) / np.maximum(count - 1, 1)
    freedom = float((count[enough] - 1).sum())
    pooled = float(squares[:, enough].sum()) / freedom if freedom else float("nan")
    variance = np.where(count >= OWN_VARIANCE_FROM, own, pooled)
    spread = np.maximum(np.sqrt(variance), SMALLEST_SPREAD)
    return np.where(enough, mean, np.nan), np.where(enough, spread, np.nan)
