"""Attribution audit: does the model still attend to the same moments of a forgotten utterance as before?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Maps = Float[np.ndarray, "n bins"]


def attribution_similarity(these: Maps, those: Maps) -> Float[np.ndarray, " n"]:
    """Compute (n,) cosines of two models' attributions to each utterance's time bins, −1 to 1 (NaN if one is zero).

    The audit that arXiv 2506.00848 §6.1 asks for: integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365) of
    the label's logit on D_f before and after unlearning. Scale does not count, only where attribution falls.

    Limits: a low similarity to Original is no forgetting by itself, since any fine-tuning moves attributions: read it
    against D_r, and against Retrain's. Attributions depend on the baseline, and say nothing of what is stored.

    Raises:
        ValueError: the maps do not have the same shape.
    """
    if these.shape != those.shape:
        raise ValueError(f"attributions must have the same shape; got {these.shape} and {those.shape}")
    products = (these * those).sum(axis=1)
    norms = np.linalg.norm(these, axis=1) * np.linalg.norm(those, axis=1)
    cosines: Float[np.ndarray, " n"] = np.divide(products, norms, out=np.full(len(these), np.nan), where=norms > 0)
    return cosines
