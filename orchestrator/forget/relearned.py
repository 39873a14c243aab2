"""Relearning attack on a removal: show the child a fifth of D_f again, and see whether the rest comes back."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from methods.base import Classifier
from methods.engine.loop import Diverged, LoopSettings, Outcome, run_method
from orchestrator.forget.problem import MICRO_BATCH, Case
from orchestrator.run.evaluation.relearning import RATE_SHARE, Relearn, split_forget_set

EPOCHS = 2
RETAIN_LIMIT = 200  # recordings of D_r that are trained on as well


def relearn(case: Case, child: Classifier) -> tuple[Classifier, npt.NDArray[np.bool_]] | None:
    """Train a copy of the child on a fifth of D_f and a sample of D_r, at a tenth of the original's learning rate.

    Memory that was only hidden comes back for the four fifths that it never saw; unheard recordings of the same class
    and speaker gain as much for a model without memory. After the attacks of arXiv 2505.22310.

    Returns:
        The attacked model, and a mask of D_f: which recordings it was shown. None if training diverged.
    """
    problem = case.problem(None)
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
    return attacked.model, np.isin(case.forget, shown.utterances.numpy())
