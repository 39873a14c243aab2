"""Whether a request would harm those who stay much more than a random one of its size, before anything is unlearned."""

from __future__ import annotations

import numpy as np
import torch

from methods.engine.answers import CLASSES
from orchestrator.evidence.harm import REQUESTS, Harm, harm_of
from orchestrator.forget.collateral import unheard_of_those_who_stay
from orchestrator.forget.problem import Case
from orchestrator.run.setup.frozen import embedded


def harm_to_others(case: Case) -> Harm | None:
    """Measure it on unheard speech of those who stay, without a forgotten class; None if there is none.

    It is exact for a ridge regression on the original's embeddings, and an estimate for the model. A recognizer has no
    classes to regress on.
    """
    if case.opened.target != CLASSES:
        return None
    labels = case.recordings.labels
    others = unheard_of_those_who_stay(case)
    if case.resolved.forgotten_class is not None:
        others = others[labels[others] != case.resolved.forgotten_class]
    train = np.union1d(case.retain, case.forget)
    if not len(others):
        return None
    vectors = embedded(case.original, case.speech.fetch, [train, others], torch.device("cpu"))
    forget = np.flatnonzero(np.isin(train, case.forget))
    mine, theirs = vectors[: len(train)], vectors[len(train) :]
    return harm_of(mine, labels[train], forget, theirs, labels[others], seed=case.seed)


def warning_of(harm: Harm) -> str:
    """Return what to say of a request that harms others much."""
    return (
        f"warning: this request may be chosen to harm: without these recordings, the error of a linear model on speech "
        f"of those who stay rises by {harm.rise:.1%}, and by at most {max(harm.random, 0):.1%} in {REQUESTS} random "
        "requests of its size. Check who makes it, and the accuracy by class and speaker in the report"
    )
