"""Scores of threshold attacks: one number an utterance, larger if it was more probably trained on.

A threshold on a signal needs no shadow model and no training; its AUC falls below 0.5 where D_f was pushed to a larger
loss than unseen utterances have. Source: Yeom et al. 2018 (loss), Song & Mittal 2021 (arXiv 2003.10595; entropies).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from orchestrator.evidence.outputs import Outputs

Vector = Float[np.ndarray, " n"]


def signals(outputs: Outputs) -> dict[str, Vector]:
    """Compute all signals by name, each (n,)."""
    return {
        "loss": outputs.label_log_probability,
        "entropy": -outputs.entropy,
        "modified_entropy": -modified_entropy(outputs),
    }


def modified_entropy(outputs: Outputs) -> Vector:
    """Compute (n,) −(1 − p_y) log p_y − Σ_{c≠y} p_c log(1 − p_c), nats (Song & Mittal).

    Unlike entropy it is large for a confident wrong answer. Where only the top five classes are stored the rest of the
    sum is left out: too small by about Σ p_c² over the rest, at most p_5 · (1 − what is known).
    """
    others = np.exp(outputs.others_log_probability)
    log_p = outputs.log_probabilities
    p = np.exp(log_p)
    of_label = outputs.classes == outputs.labels[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log1p(-np.minimum(p, 1.0)), 0.0)
    found: Vector = -others * outputs.label_log_probability - np.where(of_label, 0.0, terms).sum(axis=1)
    return found


def scaled_confidence(outputs: Outputs) -> Vector:
    """Compute (n,) φ = log p_y − log(1 − p_y): nearly Gaussian over training runs (arXiv 2112.03570).

    Of recognizers, whose p_y is a mean over a transcript, log p_y itself: minus the loss.
    """
    if not outputs.has_distributions:
        return outputs.label_log_probability
    scaled: Vector = outputs.label_log_probability - outputs.others_log_probability
    return scaled
