"""RMIA: does the model know an utterance better than models do that never saw it, compared with the same for others?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Vector = Float[np.ndarray, " n"]
OFFLINE_A = 0.3  # of the line that stands for models trained on x: p_in ≈ a · p_out + 1 − a


def rmia(
    target: Vector,
    references: Float[np.ndarray, "models n"],
    population: Float[np.ndarray, " z"],
    population_references: Float[np.ndarray, "models z"],
    *,
    a: float = OFFLINE_A,
    gamma: float = 1.0,
) -> Vector:
    """Compute the (n,) share of the population z for which (p(x) / p̄(x)) / (p(z) / p̄(z)) > γ; larger for members, 0-1.

    p̄ = ((1 + a) · mean over reference models that never saw it + 1 − a) / 2. Source: Zarifzadeh et al. 2024 (arXiv
    2312.03262, offline attack); a = 0.3 as in privacytrustlab/ml_privacy_meter.

    Limits: one to four references serve it well, but each must be a model that the utterance was kept from; `a` was
    chosen on images. The population must be unseen by the target and by all references.

    Args:
        target: p_y of the attacked model.
        references: p_y of each reference; NaN where that model was trained on the utterance.
        population: p_y of the attacked model on unseen utterances, those under attack not among them.
        population_references: likewise of the references.
        a: 0 to 1.
        gamma: above 0; thresholds on the answer trade false alarms, γ hardly matters.

    Returns:
        NaN where no reference is left.

    Raises:
        ValueError: `a` or `gamma` out of range, or an empty population.
    """
    if not 0 <= a <= 1:
        raise ValueError(f"a must be in [0, 1]; got {a}")
    if gamma <= 0:
        raise ValueError(f"gamma must be above 0; got {gamma}")
    if not len(population):
        raise ValueError("population must contain utterances; got none")
    ratio = target / _prior(references, a)
    others = np.sort(population / _prior(population_references, a))
    score = np.searchsorted(others, ratio / gamma, side="left") / len(others)
    return np.where(np.isnan(ratio), np.nan, score)


def _prior(references: Float[np.ndarray, "models n"], a: float) -> Vector:
    there = ~np.isnan(references)
    total, count = np.where(there, references, 0.0).sum(axis=0), there.sum(axis=0)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    prior: Vector = ((1 + a) * mean + 1 - a) / 2
    return prior
