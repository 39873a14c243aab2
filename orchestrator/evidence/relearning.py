"""Memorization recovery: how much of what was forgotten comes back when a model is trained on a little of it."""

from __future__ import annotations

import math

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


def excess(recovered: float, retrained: float) -> float:
    """Subtract Retrain's recovery under the same attack: above 0, more came back than retain data explain."""
    return recovered - retrained
