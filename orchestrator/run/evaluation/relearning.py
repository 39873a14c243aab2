"""Relearning attack: train the unlearned model on D_r and k forgotten utterances; measure how fast D_f is relearned."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch

from methods.base import Method, Pass, UnlearningProblem, UtteranceSet
from methods.engine.budget import BudgetMeter
from methods.engine.loop import Diverged, LoopSettings, Outcome, run_method
from methods.engine.losses import cross_entropy
from orchestrator.evidence.relearning import POOL_SHARE
from orchestrator.plan.spec import TrialSpec, stage_seed
from orchestrator.run.setup.context import seed_everything

NAN = float("nan")
RATE_SHARE = 0.1  # of the original's learning rate; the whole, at a constant rate, makes even Original forget D_f


@dataclass(frozen=True, kw_only=True)
class Relearn(Method):
    """Training on D_r and D_f of the given problem; it is not a plug-in, since it unlearns nothing."""

    label: ClassVar[str] = "Relearn"
    version: ClassVar[int] = 1

    learning_rate: float
    epochs: int
    batch_size: int

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass at a constant rate without weight decay, as in arXiv 2505.22310."""
        yield Pass(
            name="relearn",
            over=problem.retain + problem.forget,
            loss=cross_entropy,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            epochs=self.epochs,
        )


def relearn(
    spec: TrialSpec, problem: UnlearningProblem, loop: LoopSettings, settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Measure accuracy on the 80 % of D_f that stay unseen: before, and after each epoch for each k in `forgotten`.

    The split of D_f, the k utterances (one draw: 1 is among 5) and the sample of D_r depend on the task and the seed,
    never on the method, so that all methods, Original and Retrain face the same attack. `problem.model` is not changed,
    and nothing is charged to the trial's budget.

    Differs from arXiv 2505.22310: AdamW, at a tenth of the original's learning rate unless the sweep gives one; D_r is
    cut to `retain_limit` utterances, since the attack costs an epoch of it for each k and epoch.

    Returns:
        Rows of `evidence/<trial_id>.parquet`. NaN where D_f's pool is smaller than k, or training diverged.
    """
    with problem.budget.uncounted():
        return _attack(spec, problem, loop, settings)


def _attack(
    spec: TrialSpec, problem: UnlearningProblem, loop: LoopSettings, settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    seed = stage_seed("relearning", spec.task.title, spec.seed)
    pool, unseen = split_forget_set(problem.forget, seed)
    unseen = replace(unseen, fetch=problem.validation.fetch)
    before = problem.score(problem.model, unseen).accuracy
    rows = [_row("before relearning", 0, 0, before, len(unseen))]
    retain = _first(problem.retain, settings["retain_limit"], seed)
    for k in settings["forgotten"]:
        curve = [before, *(NAN for _ in range(settings["epochs"]))]
        if k <= len(pool):
            shown = pool.select(torch.arange(len(pool)) < k)
            for epoch, value in enumerate(_curve(spec, problem, loop, retain, shown, unseen, settings), start=1):
                curve[epoch] = value
        rows += [_row("relearning", k, epoch, value, len(unseen)) for epoch, value in enumerate(curve)]
    return rows


def split_forget_set(forget: UtteranceSet, seed: int) -> tuple[UtteranceSet, UtteranceSet]:
    """Return the 20 % of D_f (at least one utterance) that may be shown again, in random order, and the rest."""
    order = torch.randperm(len(forget), generator=torch.Generator().manual_seed(seed))
    size = max(1, round(POOL_SHARE * len(forget)))
    return forget.select(order[:size]), forget.select(order[size:].sort().values)


def _first(utterances: UtteranceSet, limit: int | None, seed: int) -> UtteranceSet:
    order = torch.randperm(len(utterances), generator=torch.Generator().manual_seed(seed))
    return utterances.select(order[:limit].sort().values)


def _curve(
    spec: TrialSpec, problem: UnlearningProblem, loop: LoopSettings, retain: UtteranceSet, shown: UtteranceSet,
    unseen: UtteranceSet, settings: Mapping[str, Any],
) -> Iterator[float]:  # fmt: skip
    """Yield accuracy on `unseen` after each epoch; end early if training diverges."""
    seed = stage_seed("relearning steps", spec.task.title, spec.backbone.title, spec.seed)
    seed_everything(seed)  # dropout and SpecAugment
    model = copy.deepcopy(problem.model)
    attacked = replace(
        problem,
        model=model,
        forget=shown,
        retain=retain,
        budget=BudgetMeter(beat=problem.budget.beat),
        generator=torch.Generator().manual_seed(seed),
    )
    method = Relearn(
        learning_rate=settings["learning_rate"] or RATE_SHARE * problem.training.learning_rate,
        epochs=settings["epochs"],
        batch_size=problem.training.batch_size,
    )
    try:
        for _ in run_method(method, attacked, settings=loop, outcome=Outcome()):
            yield problem.score(model, unseen).accuracy
    except Diverged:
        return


def _row(test: str, forgotten: int, epoch: int, value: float, utterances: int) -> dict[str, Any]:
    return {
        "test": test, "measure": "accuracy", "forgotten": forgotten, "epoch": epoch, "value": value,
        "utterances": utterances,
    }  # fmt: skip
