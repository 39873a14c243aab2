"""The one loop that runs a method: its passes one after another, under one budget, with the trial's modifiers."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from methods.base import Classifier, Method, Pass, UnlearningProblem
from methods.engine.budget import BudgetSpent
from methods.engine.charged_passes import charge_passes, stop_charging
from methods.engine.compiled import CompiledModel
from methods.engine.pass_runner import PassRunner, moving_parameters
from methods.engine.records import Diverged, EpochStore, LoopSettings, Outcome, Progress
from methods.modifiers.best_epoch import BestEpoch, BestWeights
from methods.modifiers.curriculum import ForgetCurriculum, with_curriculum
from methods.modifiers.lora import Lora, add_adapters, merge_adapters
from methods.modifiers.superloss import SuperLoss, SuperLossWeights

__all__ = ["Diverged", "EpochStore", "LoopSettings", "Outcome", "Progress", "run_method"]


def run_method(
    method: Method,
    problem: UnlearningProblem,
    *,
    settings: LoopSettings,
    superloss: SuperLoss | None = None,
    forget_curriculum: ForgetCurriculum | None = None,
    lora: Lora | None = None,
    best_epoch: BestEpoch | None = None,
    mislabeled: bool = False,
    epochs: EpochStore | None = None,
    outcome: Outcome,
) -> Iterator[Progress]:
    """Run the method's passes on `problem.model`, in place, until they end or the budget is spent.

    Yields a `Progress` after each epoch, also one that the budget cuts off. `epochs` resumes inside the first pass
    only: trainings have just one.
    With `lora` the model has adapters until the end, where they are merged into its weights. With `best_epoch` it ends
    with the weights of its best epoch; `mislabeled` says that D_f has wrong labels.

    Raises:
        Diverged: when a loss, a gradient norm or a weight is NaN or infinite.
    """
    charge_passes(problem.model, problem.budget)
    optimizer: torch.optim.Optimizer | None = None
    weights = SuperLossWeights(superloss, problem.num_classes, problem.control_generator()) if superloss else None
    moved = add_adapters(problem.model, lora) if lora else None
    outcome.parameters = sum(p.numel() for p in problem.model.parameters() if p.requires_grad)
    compiled = CompiledModel(problem.model, problem.budget) if settings.compile else None
    try:
        problem.precision = settings.precision
        kept = BestWeights(problem, mislabeled) if best_epoch else None
        if forget_curriculum:
            with problem.budget.charging():
                problem = with_curriculum(problem, forget_curriculum)
        for number, current in enumerate(_charged_passes(method, problem)):
            if optimizer is None or current.optimizer == "fresh":
                optimizer = _optimizer(problem.model, current)
            store = epochs if number == 0 else None
            runner = PassRunner(problem, current, optimizer, settings, weights, outcome, store, compiled)
            for progress in runner.run():
                if kept and progress.whole:
                    kept.after_epoch(progress.pass_name)
                yield progress
    except BudgetSpent:
        outcome.stop_reason = "budget"
    if kept:
        kept.restore()
    stop_charging(problem.budget)  # what follows only reads the model
    for p in problem.model.parameters():
        p.grad = None
    if moved is not None:
        merge_adapters(problem.model, moved)
    if not bool(torch.stack([torch.isfinite(p).all() for p in problem.model.parameters()]).all()):
        raise Diverged(f"a weight is NaN or infinite after step {outcome.steps}")


def _charged_passes(method: Method, problem: UnlearningProblem) -> Iterator[Pass]:
    """Yield the method's passes; its own code before, between and after them is charged."""
    with problem.budget.charging():
        passes = iter(method.passes(problem))
    while True:
        with problem.budget.charging():
            current = next(passes, None)
        if current is None:
            return
        yield current


def _optimizer(model: Classifier, current: Pass) -> torch.optim.Optimizer:
    parameters = moving_parameters(model, current)
    return torch.optim.AdamW(
        parameters, lr=current.learning_rate, weight_decay=current.weight_decay, fused=_fused(parameters)
    )


def _fused(parameters: list[torch.nn.Parameter]) -> bool:
    return all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
