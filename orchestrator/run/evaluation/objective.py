"""What a search minimizes: named rules over accuracies on D_f, D_r and D_v; never D_t."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from methods.base import UnlearningProblem
from methods.engine.rewind_objective import Aim, rewind_aim
from orchestrator.forgetting.requests import WRONG_LABELS
from orchestrator.run.assignment import Assignment
from orchestrator.run.setup.checkpoints import load_logits
from orchestrator.run.setup.context import WorkerContext

RULES = ("rewind", "gap_to_retrain", "authors")


def objective_of(rule: str, now: Mapping[str, float], target: Mapping[str, float]) -> float:
    """Return the objective (smaller is better) of accuracies `f` (D_f), `r` (D_r) and `v` (D_v, kept classes).

    `rewind` (after Kurmanji et al. 2023, §3.4): the mean of |acc_f − reference| and of the loss of acc_v, where the
    reference is the original's accuracy on D_v with D_f's mix of classes, and 0 for a forgotten class.
    `gap_to_retrain`: the mean absolute gap on D_f, D_r and D_v. `authors`: 1 − (acc_v + 1 − acc_f) / 2, the score of
    the paper authors' public code.
    """
    if rule == "rewind":
        return Aim(target["f"], target["v"]).distance(now["f"], now["v"])
    if rule == "gap_to_retrain":
        return sum(abs(now[part] - target[part]) for part in ("f", "r", "v")) / 3
    return 1 - (now["v"] + 1 - now["f"]) / 2


def objective_at(
    assignment: Assignment, problem: UnlearningProblem, context: WorkerContext, now: Mapping[str, float] | None = None
) -> float | None:
    """Return the objective of a search's trial; None for other trials.

    `now` has accuracies that are known already; without it, they are measured if the stage allows that.
    """
    rule = assignment.objective_rule
    if assignment.spec.policy.objective == "validation":
        return None if now is None else 1 - now["v"]
    if assignment.spec.policy.objective == "none":
        return None
    if now is None:
        now = {
            "f": problem.evaluate_uncharged(problem.forget).accuracy,
            "v": problem.evaluate_uncharged(problem.validation).accuracy,
        }
        if rule == "gap_to_retrain":
            now["r"] = problem.evaluate_uncharged(problem.retain).accuracy
    return objective_of(rule, now, _target(assignment, problem, context))


def _target(assignment: Assignment, problem: UnlearningProblem, context: WorkerContext) -> dict[str, float]:
    rule, parents = assignment.objective_rule, assignment.spec.parents
    if rule == "authors":
        return {}
    if rule == "rewind":
        original = load_logits(context.store, parents["original"])[0]
        return _rewind_target(problem, original, mislabeled=assignment.spec.request["kind"] in WRONG_LABELS)
    row = context.store.row(parents["retrain"]) or {}
    parts = {"f": "forget_accuracy", "r": "retain_accuracy", "v": "validation_accuracy_kept_classes"}
    return {part: float(row[column]) for part, column in parts.items()}


def _rewind_target(
    problem: UnlearningProblem, original_logits: torch.Tensor, *, mislabeled: bool = False
) -> dict[str, float]:
    """Return the target accuracies, as `methods.engine.rewind_objective` has them."""
    said = original_logits[problem.validation.utterances].argmax(dim=-1)
    aim = rewind_aim(said == problem.validation.labels, problem, mislabeled=mislabeled)
    return {"f": aim.forget, "v": aim.validation}
