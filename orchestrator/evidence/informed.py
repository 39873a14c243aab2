"""Informed attack: trained on the same method's models of other forget sets, which the attacker knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from orchestrator.evidence.membership import LOSS_CLIP
from orchestrator.evidence.outputs import Outputs
from orchestrator.evidence.roc import UNMEASURED, Estimate, auc

Features = Float[np.ndarray, "n features"]
Sides = tuple[Features, Features]
"""Features of D_f, and of non-members."""
FEWEST = 10  # utterances on a side, of the attacked model and of all others together


def output_features(outputs: Outputs) -> Features:
    """Return (n, 3) loss, entropy, and margin (log-probability of the label minus the largest other), cut to ±100."""
    others = np.where(outputs.classes == outputs.labels[:, None], -np.inf, outputs.log_probabilities).max(axis=1)
    margin = outputs.label_log_probability - others
    found = np.stack([-outputs.label_log_probability, outputs.entropy, margin], axis=1)
    clipped: Features = np.clip(found, -LOSS_CLIP, LOSS_CLIP)
    return clipped


def informed_attack(own: Sides, others: Sequence[Sides]) -> Estimate:
    """Fit a logistic regression on other models of the method, and attack this one; AUC with interval over utterances.

    The attacker of Chen et al. 2021 (arXiv 2005.02205), who has shadow models of original and unlearned model, with
    their features reduced to three per model. Other seeds of the sweep take the place of shadow models.

    Limits: few models teach little; seeds share their holdout, so that the same non-members are seen in training, from
    another model. With the features of Original among them Retrain is not at chance, since Original was trained on D_f:
    Retrain's figure is the target.

    Args:
        own: features of D_f and of non-members under the attacked model.
        others: the same of models that forgot other sets.

    Returns:
        NaN without other models, with fewer than ten utterances on a side, or where a feature is NaN.
    """
    if not others or min(map(len, own)) < FEWEST:
        return UNMEASURED
    train = [np.concatenate([sides[side] for sides in others]) for side in (0, 1)]
    if min(map(len, train)) < FEWEST or any(np.isnan(part).any() for part in (*own, *train)):
        return UNMEASURED
    from sklearn.linear_model import LogisticRegression  # here, because importing it takes seconds
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    attacker: Any = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    attacker.fit(np.concatenate(train), np.repeat([1, 0], [len(part) for part in train]))
    return auc(*(attacker.decision_function(part) for part in own))
