"""Three-sample relative test: are a model's outputs on D_f closer to Retrain's than to Original's?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist
from scipy.stats import beta

MOST = 2_000  # points of a set
OF_MEDIAN = 500  # points of each set, whose distances give the bandwidth
FLIPS = 999
LEVEL = 0.05
FEWEST = 10  # utterances

Points = Float[np.ndarray, "n width"]
Models = tuple[Points, Points, Points]
Verdict = Literal["Retrain", "Original", "neither", ""]


@dataclass(frozen=True)
class Relative:
    """Which of two models a third one is closer to; NaN and no verdict with fewer than ten utterances."""

    share: float  # MMD to Retrain / (MMD to Retrain + MMD to Original): 0 for Retrain itself, 1 for Original itself
    p_retrain: float  # of being closer to Retrain
    p_original: float  # of being closer to Original

    @property
    def verdict(self) -> Verdict:
        """The model that it is significantly closer to, at 5 %."""
        return _verdict(self.p_retrain, self.p_original)


@dataclass(frozen=True)
class AgainstUnseen:
    """Which of two models a third one is closer to on D_f than on unseen utterances; NaN with fewer than ten pairs."""

    excess: float  # mean of k(f′, Original) − k(f′, Retrain) on D_f, minus the same on unseen utterances; −2 to 2
    p_retrain: float  # of being closer to Retrain on D_f
    p_original: float
    pairs: int

    @property
    def verdict(self) -> Verdict:
        """The model that it is significantly closer to on D_f, at 5 %."""
        return _verdict(self.p_retrain, self.p_original)


def _verdict(p_retrain: float, p_original: float) -> Verdict:
    if np.isnan(p_retrain):
        return ""
    if p_retrain < LEVEL:
        return "Retrain"
    return "Original" if p_original < LEVEL else "neither"


@dataclass(frozen=True)
class Between:
    """Two reference models' points on the same utterances, and what of their kernel serves every third model."""

    retrained: Points
    original: Points
    bandwidth: float
    places: np.ndarray  # of at most `MOST` utterances
    rows: Float[np.ndarray, " n"]  # mean over j of k(r_i, r_j) + k(r_i, o_j) − k(o_i, r_j) − k(o_i, o_j)
    within: tuple[float, float]  # mean kernel of Retrain's points, and of Original's

    @classmethod
    def of(cls, retrained: Points, original: Points, *, seed: int = 0) -> Between:
        """Compute kernels of both references once; the bandwidth is the median distance of their points.

        Raises:
            ValueError: they do not have one shape.
        """
        if retrained.shape != original.shape:
            raise ValueError(f"Points must be of the same utterances; got {retrained.shape} and {original.shape}.")
        places = np.sort(np.random.default_rng(seed).permutation(len(retrained))[:MOST])
        r, o = (np.asarray(points, dtype=np.float64)[places] for points in (retrained, original))
        some = np.concatenate([r[:OF_MEDIAN], o[:OF_MEDIAN]])
        distances = cdist(some, some)[np.triu_indices(len(some), 1)]
        positive = distances[distances > 0]
        bandwidth = float(np.median(positive)) if len(positive) else 1.0
        rr, oo, ro = (rbf(*pair, bandwidth) for pair in ((r, r), (o, o), (r, o)))
        rows = rr.mean(axis=1) + ro.mean(axis=1) - ro.mean(axis=0) - oo.mean(axis=1) if len(r) else np.empty(0)
        within = (float(rr.mean()), float(oo.mean())) if len(r) else (float("nan"), float("nan"))
        return cls(r, o, bandwidth, places, rows, within)

    def test(self, unlearned: Points, *, seed: int = 0) -> Relative:
        """Test which reference a third model's points on the same utterances are closer to.

        The statistic is MMD²(f′, Retrain) − MMD²(f′, Original) with an RBF kernel, as in the relative test of
        Bounliphone et al. 2016 (arXiv 1511.04581). Its null distribution: for each utterance, the points of Retrain and
        Original may be exchanged. Exchanging changes signs of terms that are computed once, so that 999 permutations
        cost as much as one.

        Differs: by permutation of pairs, not by the joint normal limit, which assumes independent samples; here the
        three models are given the same utterances.

        Limits: the models are taken as given. Two trainings differ as well, so that without something to forget, either
        verdict can be significant: read it only where Original differs from Retrain.
        """
        nothing = float("nan")
        if len(self.places) < FEWEST or np.isnan(unlearned).any():
            return Relative(nothing, nothing, nothing)
        f = np.asarray(unlearned, dtype=np.float64)[self.places]
        to_retrained, to_original = (rbf(f, points, self.bandwidth) for points in (self.retrained, self.original))
        n = len(f)
        terms = (self.rows - 2 * (to_retrained.mean(axis=0) - to_original.mean(axis=0))) / n
        p_retrain, p_original = _tails(terms, seed)
        own = float(rbf(f, f, self.bandwidth).mean())
        squares = (own + self.within[0] - 2 * to_retrained.mean(), own + self.within[1] - 2 * to_original.mean())
        near, far = (float(np.sqrt(max(0.0, square))) for square in squares)
        return Relative(near / (near + far) if near + far > 1e-9 else 0.5, p_retrain, p_original)

    def test_against_unseen(self, forgotten: Models, unseen: Models, *, seed: int = 0) -> AgainstUnseen:
        """Test whether a third model is closer to Original on D_f than it is on unseen utterances.

        For each utterance k(f′, Original) − k(f′, Retrain) is computed from the models' own points; the i-th of D_f and
        the i-th unseen utterance are a pair of one class, and within pairs the values may be exchanged if nothing was
        remembered. How two trainings differ in general, such as in confidence, is in both and cancels: the level holds
        where there is nothing to forget.

        Limits: unseen utterances of a forgotten class are as unknown to Retrain as D_f, so that the test finds memory
        of recordings, not of classes.

        Args:
            forgotten: points of f′, Retrain and Original on D_f, (pairs, width) each.
            unseen: the same on unseen utterances.
            seed: of the exchanges.
        """
        pairs, nothing = len(forgotten[0]), float("nan")
        if pairs < FEWEST or any(np.isnan(points).any() for points in (*forgotten, *unseen)):
            return AgainstUnseen(nothing, nothing, nothing, pairs)
        mine, theirs = (self._lean(*models) for models in (forgotten, unseen))
        return AgainstUnseen(float((mine - theirs).mean()), *_tails(mine - theirs, seed), pairs)

    def _lean(self, unlearned: Points, retrained: Points, original: Points) -> Float[np.ndarray, " n"]:
        """Return k(f′, Original) − k(f′, Retrain) of each utterance."""
        apart = [((np.asarray(unlearned, np.float64) - points) ** 2).sum(axis=1) for points in (original, retrained)]
        to_original, to_retrained = (np.exp(squares / (-2 * self.bandwidth**2)) for squares in apart)
        found: Float[np.ndarray, " n"] = to_original - to_retrained
        return found


def _tails(terms: Float[np.ndarray, " n"], seed: int) -> tuple[float, float]:
    """Return how often a sum with random signs is at most, and at least, the sum of the terms; with the sum itself."""
    observed = float(terms.sum())
    signs = np.random.default_rng(seed).integers(0, 2, size=(FLIPS, len(terms)), dtype=np.int8)
    exchanged = (2.0 * signs - 1.0) @ terms
    slack = 1e-12 * float(np.abs(terms).sum())  # of rounding: equal sums count as equal
    below, above = np.sum(exchanged <= observed + slack), np.sum(exchanged >= observed - slack)
    return (1 + int(below)) / (1 + FLIPS), (1 + int(above)) / (1 + FLIPS)


def rbf(x: Points, y: Points, bandwidth: float) -> Float[np.ndarray, "n m"]:
    """Compute exp(−‖x − y‖² / 2 h²) of all pairs."""
    kernel: Float[np.ndarray, "n m"] = np.exp(cdist(x, y, "sqeuclidean") / (-2 * bandwidth**2))
    return kernel


@dataclass(frozen=True)
class Rate:
    """How many of n tests gave a verdict, with the exact 95 % interval (Clopper–Pearson); NaN without tests."""

    found: int
    n: int
    low: float
    high: float

    def __str__(self) -> str:
        """Say "15 of 16 (95 % interval 70 to 100 %)"."""
        if not self.n:
            return "none of 0"
        return f"{self.found} of {self.n} (95 % interval {100 * self.low:.0f} to {100 * self.high:.0f} %)"


def verdict_rate(verdicts: Sequence[Verdict], wanted: Verdict) -> Rate:
    """Count how often tests gave a verdict; tests without one are left out.

    The test is sound if independent Retrains get "Retrain" (goal: 94 %) and independent Originals "Original" (95 %).
    """
    known = [verdict for verdict in verdicts if verdict]
    return rate_of(sum(verdict == wanted for verdict in known), len(known))


def rate_of(found: int, n: int) -> Rate:
    """Return the rate with its interval."""
    if not n:
        return Rate(0, 0, float("nan"), float("nan"))
    low = float(beta.ppf(0.025, found, n - found + 1)) if found else 0.0
    high = float(beta.ppf(0.975, found + 1, n - found)) if found < n else 1.0
    return Rate(found, n, low, high)
