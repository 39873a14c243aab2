"""Relearning attack on a removal: show the child a fifth of D_f again, and see whether the rest comes back."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch

from methods.base import Classifier
from methods.engine.loop import Diverged, LoopSettings, Outcome, run_method
from orchestrator.forget.comparing import Logits, Rows
from orchestrator.forget.problem import MICRO_BATCH, Case
from orchestrator.run.evaluation.relearning import RATE_SHARE, Relearn, split_forget_set

EPOCHS = 2
RETAIN_LIMIT = 200  # recordings of D_r that are trained on as well


def relearn(case: Case, child: Classifier, rows: Rows) -> tuple[Classifier, Rows] | None:
    """Train a copy of the child on a fifth of forgotten rows and a sample of D_r, at a tenth of the original's rate.

    Memory that was only hidden comes back for the four fifths that it never saw; unheard recordings of the same class
    and speaker gain as much for a model without memory. After the attacks of arXiv 2505.22310.

    Returns:
        The attacked model, and the rows that it was shown. None if training diverged.
    """
    problem = case.problem(None, forget=rows)
    problem.model = copy.deepcopy(child)
    shown, _ = split_forget_set(problem.forget, case.seed)
    generator = torch.Generator().manual_seed(case.seed)
    attacked = replace(problem, forget=shown, retain=problem.retain.sample(RETAIN_LIMIT, generator))
    rate = RATE_SHARE * case.training.learning_rate
    method = Relearn(learning_rate=rate, epochs=EPOCHS, batch_size=case.training.batch_size)
    try:
        for _ in run_method(method, attacked, settings=LoopSettings(micro_batch=MICRO_BATCH), outcome=Outcome()):
            pass
    except Diverged:
        return None
    return attacked.model, shown.utterances.numpy()


def after_relearning(
    case: Case, child: Classifier, forgotten: Rows, unheard: Rows
) -> tuple[tuple[Logits, Logits], Rows] | None:
    """Attack the child, and return the attacked model's logits on both sides and the rows that it was shown.

    None if the attack failed, as its training diverged.
    """
    attacked = relearn(case, child, np.sort(forgotten))
    if attacked is None:
        return None
    model, shown = attacked
    outputs = case.speech.logits(model, forgotten), case.speech.logits(model, unheard)
    return (outputs, shown) if all(np.isfinite(part).all() for part in outputs) else None
