"""Informed attack: trained on the same method's models of other seeds, which the attacker knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from orchestrator.evidence.membership import LOSS_CLIP
from orchestrator.evidence.outputs import Outputs
from orchestrator.evidence.roc import UNMEASURED, Estimate, auc_interval, auc_value

Features = Float[np.ndarray, "n features"]
Ids = np.ndarray[Any, Any]  # (n,) text
FOLDS = 2
FEWEST = 10  # utterances on a side, of the attacked model and of what a regression is fitted on


@dataclass(frozen=True)
class Side:
    """D_f, or non-members, of one model."""

    features: Features
    utterance_ids: Ids

    def __len__(self) -> int:
        return len(self.utterance_ids)

    def first(self, width: int) -> Side:
        """Keep the first features."""
        return Side(self.features[:, :width], self.utterance_ids)


Sides = tuple[Side, Side]
"""D_f, and non-members."""


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

    Seeds share their holdout, and some requests their D_f: each half of the utterances is attacked by a regression that
    was fitted on the other half. Otherwise what is peculiar to an utterance in every model passes for membership. The
    halves' AUCs depend on each other (Bengio & Grandvalet 2004), so that the interval is that of half the utterances.

    Limits: few models teach little. With the features of Original among them Retrain is not at chance, since Original
    was trained on D_f: Retrain's figure is the target.

    Args:
        own: D_f and non-members under the attacked model.
        others: the same of models of other seeds.

    Returns:
        NaN without other models, with fewer than ten utterances on a side, or where a feature is NaN.
    """
    if not others or min(map(len, own)) < FEWEST:
        return UNMEASURED
    if any(np.isnan(side.features).any() for sides in (own, *others) for side in sides):
        return UNMEASURED
    names = np.unique(np.concatenate([side.utterance_ids for sides in (own, *others) for side in sides]))
    half = np.random.default_rng(0).permutation(len(names)) % FOLDS
    scores = [np.empty(len(side)) for side in own]
    for fold in range(FOLDS):
        taught, attacked = names[half != fold], names[half == fold]
        train = [
            np.concatenate([sides[at].features[np.isin(sides[at].utterance_ids, taught)] for sides in others])
            for at in (0, 1)
        ]
        if min(map(len, train)) < FEWEST:
            return UNMEASURED
        attacker = _fitted(*train)
        for side, found in zip(own, scores, strict=True):
            if len(places := np.flatnonzero(np.isin(side.utterance_ids, attacked))):
                found[places] = attacker.decision_function(side.features[places])
    value = auc_value(*scores)
    return Estimate(value, *auc_interval(value, *(max(1, len(side) // FOLDS) for side in own)))


def _fitted(members: Features, others: Features) -> Any:
    from sklearn.linear_model import LogisticRegression  # here, because importing it takes seconds
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    attacker = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    return attacker.fit(np.concatenate([members, others]), np.repeat([1, 0], [len(members), len(others)]))
