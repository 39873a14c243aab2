"""The most memorized tenth of D_f: an average hides what is left of the few utterances that need forgetting."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

SHARE = 0.1
FEWEST = 10  # utterances: of a smaller tenth, as many of the most memorized

Vector = Float[np.ndarray, " n"]


def most_memorized(original: Vector, references: Float[np.ndarray, "models n"]) -> Int[np.ndarray, " m"]:
    """Return places of the tenth of D_f (ten utterances at least) that Original knows better than the references do.

    By φ = log p_y − log(1 − p_y) of Original minus its mean over models that never saw D_f: memorization as in Feldman
    (arXiv 1906.05271) with few models. RULI (Naderloui et al. 2025, arXiv 2506.13009) shows that attacks on random
    samples understate what such utterances reveal.

    Limits: what only Original knows is hard for any other model, so that the AUC of a Retrain is below 0.5 on real
    speech: it is the target. It falls further if the Retrain is itself a reference: the caller leaves it out.

    Args:
        original: φ of D_f under Original.
        references: φ of models that never saw D_f.

    Returns:
        Ascending places; none if there is no reference, or D_f has fewer than ten utterances.
    """
    if not len(references) or len(original) < FEWEST:
        return np.empty(0, dtype=np.int64)
    memorized = original - np.mean(references, axis=0)
    size = max(FEWEST, round(SHARE * len(original)))
    return np.sort(np.argsort(-memorized, kind="stable")[:size])
