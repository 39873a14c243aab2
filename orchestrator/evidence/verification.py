"""Speaker verification as evidence: how well cosines of embeddings verify kept, forgotten and unseen speakers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

P_TARGETS = (0.01, 0.05)
C_MISS = C_FALSE_ALARM = 1.0
MOST_CLIPS, MOST_OTHERS = 200, 400  # of a group, and that they are compared with
FEWEST_TRIALS = 10  # of either kind

Scores = Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Verification:
    """Errors on the trials of one group of speakers, in fractions; NaN with fewer than ten trials of a kind."""

    eer: float
    min_dcf: dict[float, float]  # by P_target
    speakers: int
    targets: int  # trials of one speaker
    nontargets: int  # trials of two speakers


def equal_error_rate(targets: Scores, nontargets: Scores) -> float:
    """Compute the rate at which misses and false alarms are equal, 0-1, by straight lines between thresholds.

    NaN when a set is empty or a score is NaN.
    """
    return _eer(*_errors(targets, nontargets))


def min_dcf(
    targets: Scores,
    nontargets: Scores,
    p_target: float,
    c_miss: float = C_MISS,
    c_false_alarm: float = C_FALSE_ALARM,
) -> float:
    """Compute the smallest detection cost over all thresholds, divided by that of the better constant answer; 0-1.

    C_miss · P_target · P_miss + C_fa · (1 − P_target) · P_fa (NIST SRE; Kaldi's compute_min_dcf has the same norm).

    Raises:
        ValueError: `p_target` is not strictly between 0 and 1.
    """
    if not 0 < p_target < 1:
        raise ValueError(f"p_target must be strictly between 0 and 1; got {p_target}")
    return _cost(*_errors(targets, nontargets), c_miss * p_target, c_false_alarm * (1 - p_target))


def _eer(misses: Scores, false_alarms: Scores) -> float:
    if not len(misses):
        return float("nan")
    after = int(np.argmax(misses >= false_alarms))  # the first threshold with more misses; never the lowest
    before = after - 1
    ahead, behind = false_alarms[before] - misses[before], misses[after] - false_alarms[after]
    share = ahead / (ahead + behind)
    return float(misses[before] + share * (misses[after] - misses[before]))


def _cost(misses: Scores, false_alarms: Scores, of_miss: float, of_false_alarm: float) -> float:
    if not len(misses):
        return float("nan")
    return float((of_miss * misses + of_false_alarm * false_alarms).min() / min(of_miss, of_false_alarm))


def _errors(targets: Scores, nontargets: Scores) -> tuple[Scores, Scores]:
    """Return shares of misses and false alarms at each threshold, ascending from one that accepts everything."""
    if not len(targets) or not len(nontargets) or np.isnan(targets).any() or np.isnan(nontargets).any():
        return np.empty(0), np.empty(0)
    thresholds = np.append(np.unique(np.concatenate([targets, nontargets])), np.inf)  # a score ≥ it is accepted
    misses = np.searchsorted(np.sort(targets), thresholds, side="left") / len(targets)
    false_alarms = 1 - np.searchsorted(np.sort(nontargets), thresholds, side="left") / len(nontargets)
    return misses, false_alarms


def verify_speakers(
    vectors: Float[np.ndarray, "n width"], speakers: np.ndarray[Any, Any], in_group: np.ndarray[Any, Any], *, seed: int
) -> Verification:
    """Verify the speakers of a group by cosines: all pairs of one speaker, and pairs with any other speaker.

    Trials of two speakers pair a recording of the group with one of any speaker, inside the group or not, so that a
    single forgotten speaker has trials, and groups share their impostors. Of a group up to 200 recordings are used, and
    400 others, drawn by `seed`.

    Limits: trials share recordings, so that they are no independent samples: the spread over seeds says how certain a
    figure is. Under a speaker model that was trained on the recordings themselves, those of kept speakers are verified
    too well.

    Args:
        vectors: embeddings; a zero vector has cosine 0 with every other one.
        speakers: (n,) of each.
        in_group: (n,) whether the recording is of the group.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(speakers))
    group, rest = order[in_group[order]], order[~in_group[order]]
    group, others = group[:MOST_CLIPS], np.concatenate([group[:MOST_CLIPS], rest[:MOST_OTHERS]])
    wide = vectors.astype(np.float64)
    unit = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    cosines = unit[group] @ unit[others].T
    same = speakers[group][:, None] == speakers[others][None]
    once = np.arange(len(others))[None] > np.arange(len(group))[:, None]  # each pair once, none with itself
    targets, nontargets = cosines[same & once], cosines[~same & once]
    enough = min(len(targets), len(nontargets)) >= FEWEST_TRIALS
    misses, alarms = _errors(targets, nontargets) if enough else (np.empty(0), np.empty(0))
    return Verification(
        eer=_eer(misses, alarms),
        min_dcf={p: _cost(misses, alarms, C_MISS * p, C_FALSE_ALARM * (1 - p)) for p in P_TARGETS},
        speakers=len(np.unique(speakers[group])),
        targets=len(targets),
        nontargets=len(nontargets),
    )
