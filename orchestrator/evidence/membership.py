"""Membership attacks: how well a model's outputs separate forget utterances from utterances that it never saw.

Non-members are the caller's choice: the holdout, or D_t for a corpus without one. No shadow models are needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from orchestrator.evidence.roc import auc_value

SVC_CAP = 5_000  # utterances a side: the RBF kernel's cost grows with the square
LOSS_CLIP = 100.0  # nats, as in SCRUB's attack
FOLDS = 10

Vector = Float[np.ndarray, " n"]
Labels = Int[np.ndarray, " n"]
Pairs = Float[np.ndarray, "n 2"]


@dataclass(frozen=True)
class LossAttack:
    """How well the loss separates D_f from non-members: 0.5 for an ideal unlearner; Retrain is the target."""

    auc: float
    accuracy: float
    pairs: int  # utterances a side, after matching by class


def label_confidence(losses: Vector) -> Vector:
    """Compute (N,) p_y, the softmax probability of the label, from the cross-entropy in nats."""
    confidence: Vector = np.exp(-losses)
    return confidence


def svc_nonmember_share(forget: Vector, retain: Vector, nonmembers: Vector, *, seed: int, cap: int = SVC_CAP) -> float:
    """Compute the share of D_f that an SVC on the label confidence calls non-members (SalUn's "MIA-efficacy").

    The SVC (C 3, RBF kernel, gamma "auto", as in OPTML-Group/Unlearn-Saliency) is trained on equal numbers of retain
    utterances (members) and non-members. More is not better: Retrain's share is the target.

    Differs: both sides are drawn by `seed` and hold at most `cap` utterances (upstream takes the first |D_t| of D_r).

    Args:
        forget: (N_f,) confidences p_y of D_f.
        retain: (N_r,) of D_r, or of a sample of it.
        nonmembers: (N_o,) of utterances that were never trained on.
        seed: of the draw.
        cap: utterances a side.

    Returns:
        A fraction, or NaN when a set is empty or a confidence is not finite.
    """
    if cap < 1:
        raise ValueError(f"cap must be 1 or more; got {cap}")
    size = min(len(retain), len(nonmembers), cap)
    if not size or not len(forget) or not all(np.isfinite(v).all() for v in (forget, retain, nonmembers)):
        return float("nan")
    rng = np.random.default_rng(seed)
    members, others = (rng.choice(v, size, replace=False) for v in (retain, nonmembers))
    from sklearn.svm import SVC  # here, because importing it takes seconds

    attacker = SVC(C=3, gamma="auto", kernel="rbf")
    attacker.fit(np.concatenate([members, others])[:, None], np.repeat([1, 0], size))
    return float(np.mean(attacker.predict(np.asarray(forget)[:, None]) == 0))


def loss_attack(
    forget_losses: Vector, forget_labels: Labels, other_losses: Vector, other_labels: Labels, *, seed: int
) -> LossAttack:
    """Cross-validate a logistic regression on the loss, D_f against as many non-members of the same classes.

    After SCRUB's attack (arXiv 2302.09880: losses clipped to ±100, D_f's classes only, equal sizes). The AUC is the
    mean over folds, never pooled: scores of two folds come from two models and share no scale.

    Differs: matched class by class into pairs, ten folds of whole pairs, and losses are standardized inside each fold:
    those of a well-trained model are of the order of 1e-5, where an unscaled regression stops at its first step and
    sees nothing. A fold that tears a pair apart leaves its class with more members than non-members in training and
    the reverse in the test: where losses differ by class that alone pulls the AUC below 0.5 (0.44 at 24 pairs).

    Args:
        forget_losses: (N_f,) cross-entropy of D_f, nats.
        forget_labels: (N_f,).
        other_losses: (N_o,) of non-members.
        other_labels: (N_o,).
        seed: of the draw and the folds.

    Returns:
        Fractions; NaN with fewer than two pairs, or when a loss is NaN (an infinite one is clipped).
    """
    rng = np.random.default_rng(seed)
    kept, others = matched_by_class(forget_labels, other_labels, rng)
    if len(kept) < 2 or np.isnan(forget_losses).any() or np.isnan(other_losses).any():
        return LossAttack(float("nan"), float("nan"), len(kept))
    from sklearn.model_selection import KFold  # here, because importing it takes seconds

    pairs = np.clip(np.stack([forget_losses[kept], other_losses[others]], axis=1), -LOSS_CLIP, LOSS_CLIP)
    folds = KFold(min(FOLDS, len(pairs)), shuffle=True, random_state=seed % 2**32)
    aucs, accuracies = [], []
    for train, test in folds.split(pairs):
        members, nonmembers = _membership_scores(pairs[train], pairs[test]).T
        aucs.append(auc_value(members, nonmembers))
        accuracies.append(np.mean([*(members > 0), *(nonmembers <= 0)]))
    return LossAttack(float(np.mean(aucs)), float(np.mean(accuracies)), len(pairs))


def _membership_scores(train: Pairs, test: Pairs) -> Pairs:
    """Return how much the losses of `test` are those of members by a regression on `train`: above 0 for members."""
    from sklearn import config_context
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    with config_context(assume_finite=True, skip_parameter_validation=True):  # its checks take longer than the fit
        scaler = StandardScaler()
        losses = scaler.fit_transform(train.T.reshape(-1, 1))  # of the members, then of the non-members
        attacker = LogisticRegression().fit(losses, np.repeat([1, 0], len(train)))
    scores: Pairs = (test - scaler.mean_) / scaler.scale_ * attacker.coef_[0] + attacker.intercept_
    return scores


def matched_by_class(forget_labels: Labels, other_labels: Labels, rng: np.random.Generator) -> tuple[Labels, Labels]:
    """Sample positions of equally many utterances of each class on both sides, as many as the smaller side has.

    The i-th of one side and the i-th of the other are a pair of one class.
    """
    kept: list[Labels] = [np.empty(0, dtype=np.int64)]
    others: list[Labels] = [np.empty(0, dtype=np.int64)]
    for label in np.unique(forget_labels):
        mine, theirs = np.flatnonzero(forget_labels == label), np.flatnonzero(other_labels == label)
        size = min(len(mine), len(theirs))
        kept.append(rng.choice(mine, size, replace=False))
        others.append(rng.choice(theirs, size, replace=False))
    return np.concatenate(kept), np.concatenate(others)
