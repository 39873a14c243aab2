"""What a search minimizes: named rules over accuracies on D_f, D_r and D_v; never D_t.

The accuracy of a recognizer is 1 − WER, so that its gaps are in points of WER.
"""

from __future__ import annotations

from collections.abc import Mapping

from methods.base import UnlearningProblem
from methods.engine.rewind_objective import Aim
from orchestrator.forgetting.requests import WRONG_LABELS
from orchestrator.run.assignment import Assignment
from orchestrator.run.evaluation.answers import evaluation_of
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
    rule, parents, evaluation = assignment.objective_rule, assignment.spec.parents, evaluation_of(problem.model)
    if rule == "authors":
        return {}
    if rule == "rewind":
        mislabeled = assignment.spec.request["kind"] in WRONG_LABELS
        return evaluation.rewind_target(problem, context.store, parents["original"], mislabeled=mislabeled)
    return evaluation.accuracies(context.store.row(parents["retrain"]) or {})
