"""Share of D_f that still looks like members: a mixture proportion in the space of embeddings; nothing is trained."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from orchestrator.evidence.relative import rbf
from orchestrator.evidence.roc import UNMEASURED, Estimate

MOST = 500  # utterances of a set
FEWEST = 10
RESAMPLES, PERMUTATIONS = 200, 199
LEVEL = 0.05

Points = Float[np.ndarray, "n width"]
Weights = Float[np.ndarray, "draws n"]


def member_share(forgotten: Points, members: Points, unseen: Points, *, seed: int) -> Estimate:
    """Estimate π in "D_f = π · members + (1 − π) · unseen", as distributions of embeddings under one model.

    The idea is that of Statistical Membership Inference (SMI, Sun et al. 2026, arXiv 2602.01150): audit by a mixture
    proportion instead of by an attack, with bootstrap ranges; SMI's figure is the share of non-members, 1 − π.

    Differs: the estimator is our own, written from the paper's abstract alone: least squares in the space of an RBF
    kernel (median heuristic), with U-statistics, so that small sets do not pull it towards either side.

    Limits: π is below 0 or above 1 by noise, or where D_f is unlike both; it needs members and unseen recordings of the
    same classes, so that there is none for a forgotten class. It is unmeasured where a permutation test (5 %) cannot
    separate members from unseen recordings: nothing can look like members there.

    Args:
        forgotten: embeddings of D_f, width the same in all.
        members: of D_r, of the same classes.
        unseen: of recordings that were never trained on, of the same classes.
        seed: of draws and resamples.

    Returns:
        π with the 95 % percentile interval over utterances; NaN with fewer than ten utterances in a set.
    """
    rng = np.random.default_rng(seed)
    sets = [np.asarray(p, dtype=np.float64)[rng.permutation(len(p))[:MOST]] for p in (forgotten, members, unseen)]
    if min(map(len, sets)) < FEWEST or not all(np.isfinite(points).all() for points in sets):
        return UNMEASURED
    f, m, u = sets
    both = np.concatenate([m, u])
    distances = cdist(both, both)
    bandwidth = float(np.median(distances[np.triu_indices(len(both), 1)]))
    if bandwidth <= 0:
        return UNMEASURED
    kernel = np.exp(distances**2 / (-2 * bandwidth**2))
    if _p_separated(kernel, len(m), rng) >= LEVEL:
        return UNMEASURED
    mm, uu, mu = kernel[: len(m), : len(m)], kernel[len(m) :, len(m) :], kernel[: len(m), len(m) :]
    fm, fu = rbf(f, m, bandwidth), rbf(f, u, bandwidth)
    draws = [_resamples(len(points), rng) for points in sets]
    shares = _shares(mm, uu, mu, fm, fu, *draws)
    low, high = np.quantile(shares[1:], (0.025, 0.975))
    return Estimate(float(shares[0]), float(low), float(high))


def _resamples(n: int, rng: np.random.Generator) -> Weights:
    """Return how often each utterance is drawn: first the sample itself, then bootstrap resamples."""
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    return np.vstack([np.ones(n), drawn])


def _shares(
    mm: Points, uu: Points, mu: Points, fm: Points, fu: Points, wf: Weights, wm: Weights, wu: Weights
) -> Weights:
    """Return (draws,) ⟨μ_f − μ_u, μ_m − μ_u⟩ / ‖μ_m − μ_u‖², each product without an utterance's own kernel."""

    def own(kernel: Points, w: Weights) -> Weights:
        total, squares = w.sum(axis=1), (w**2).sum(axis=1)
        found: Weights = (((w @ kernel) * w).sum(axis=1) - squares) / (total**2 - squares)
        return found

    def cross(kernel: Points, a: Weights, b: Weights) -> Weights:
        found: Weights = ((a @ kernel) * b).sum(axis=1) / (a.sum(axis=1) * b.sum(axis=1))
        return found

    of_mm, of_uu, of_mu = own(mm, wm), own(uu, wu), cross(mu, wm, wu)
    above = cross(fm, wf, wm) - cross(fu, wf, wu) - of_mu + of_uu
    found: Weights = above / (of_mm + of_uu - 2 * of_mu)
    return found


def _p_separated(kernel: Points, members: int, rng: np.random.Generator) -> float:
    """Return the p-value of the MMD between the first `members` points and the rest, by permutation."""
    n = len(kernel)
    weights = np.concatenate([np.full(members, 1 / members), np.full(n - members, -1 / (n - members))])
    draws = np.stack([weights, *(rng.permutation(weights) for _ in range(PERMUTATIONS))])
    statistics = ((draws @ kernel) * draws).sum(axis=1)
    return float(np.mean(statistics >= statistics[0] - 1e-12))
