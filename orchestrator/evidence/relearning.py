"""Memorization recovery: how much of what was forgotten comes back when a model is trained on a little of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

DELAY_SHARE = 0.95  # of Original's accuracy, at which an utterance counts as relearned
POOL_SHARE = 0.2  # of D_f may be learned again; the other 80 % are only scored


def recovery(after: float, unlearned: float, original: float) -> float:
    """Compute (accuracy after relearning − unlearned) / (accuracy of Original − unlearned), on the 80 % of
    D_f that relearning never saw; 0 nothing came back, 1 all of it did.

    After the relearning attacks of arXiv 2505.22310. It is no measure of forgetting alone: retain data teach a model to
    classify D_f whether it ever saw D_f or not, so only what exceeds Retrain's figure (`excess`) speaks of memory.

    NaN where unlearning did not lower the accuracy: there is then nothing to recover.
    """
    lost = original - unlearned
    return (after - unlearned) / lost if lost > 0 and not math.isnan(after) else float("nan")


def epochs_to_reach(curve: Sequence[float], level: float) -> float:
    """Return after how many epochs a relearning curve reaches an accuracy, by straight lines between epochs.

    Args:
        curve: accuracy before relearning and after each epoch.
        level: the accuracy.

    Returns:
        0 if it starts there, infinity if it does not get there, NaN if training diverged before.
    """
    for epoch, accuracy in enumerate(curve):
        if math.isnan(accuracy) or math.isnan(level):
            return float("nan")
        if accuracy >= level:
            before = curve[epoch - 1] if epoch else accuracy
            return epoch - (accuracy - level) / (accuracy - before) if accuracy > before else float(epoch)
    return math.inf


def relearning_delay(curve: Sequence[float], retrained: Sequence[float], original: float) -> float:
    """Subtract Retrain's epochs to 95 % of Original's accuracy from a model's: below 0, it relearns sooner.

    After the relearning convergence delay of Tran & Woo 2026 (arXiv 2604.09391).

    Differs: in predictions only, not in weights, and by epochs of the curves that a sweep requests.

    Limits: a curve that does not get there counts as one epoch more than it has, so that the difference is a bound; NaN
    if neither gets there. It is coarse with few epochs.
    """
    own, target = (epochs_to_reach(c, DELAY_SHARE * original) for c in (curve, retrained))
    if math.isnan(own) or math.isnan(target) or (math.isinf(own) and math.isinf(target)):
        return float("nan")
    return min(own, float(len(curve))) - min(target, float(len(retrained)))


def excess(recovered: float, retrained: float) -> float:
    """Subtract Retrain's recovery under the same attack: above 0, more came back than retain data explain."""
    return recovered - retrained
