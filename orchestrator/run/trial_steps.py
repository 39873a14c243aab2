"""The four steps of a trial: prepare, unlearn (or train), evaluate, save. Each returns its result, which has columns.

Only `run_trial` calls them, in this order. An interrupted `unlearn` reports its result as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from methods.base import Method, Training
from methods.engine.loop import LoopSettings, Outcome, Progress, run_method
from methods.modifiers.best_epoch import BestEpoch
from methods.modifiers.curriculum import ForgetCurriculum
from methods.modifiers.lora import Lora
from methods.modifiers.superloss import SuperLoss
from orchestrator import plugins
from orchestrator.errors import type_and_first_line
from orchestrator.forgetting.requests import WRONG_LABELS
from orchestrator.plan.originals import training_kind_of
from orchestrator.plan.spec import TrialSpec
from orchestrator.run.assignment import Assignment, IntermediateResult
from orchestrator.run.evaluation.answers import evaluation_of
from orchestrator.run.evaluation.curves import Curve
from orchestrator.run.evaluation.objective import objective_at
from orchestrator.run.evaluation.unchanged import Before
from orchestrator.run.guards.device_errors import is_out_of_memory
from orchestrator.run.guards.out_of_memory import MemorySpent
from orchestrator.run.guards.peak_memory import PeakMemory
from orchestrator.run.guards.watchdog import Watchdog
from orchestrator.run.setup.arithmetic import set_arithmetic
from orchestrator.run.setup.checkpoints import (
    EpochCheckpoint,
    load_weights,
    save_artifacts,
    save_weights,
)
from orchestrator.run.setup.context import WorkerContext
from orchestrator.run.setup.problem import budget_meter, make_problem, split_corpus
from orchestrator.run.step_results import Evaluated, Prepared, Saved, Unlearned

NOT_OF_THE_LOOP = ("threads", "deterministic")  # keys of `TrialSpec.loop` that set up the process


def prepare(
    assignment: Assignment,
    context: WorkerContext,
    watchdog: Watchdog,
    clock: Callable[[], float],
    micro_batch: int | None,
) -> Prepared:
    """Open the corpus, its features and the models, and start the budget; nothing is charged yet."""
    spec, began = assignment.spec, clock()
    torch.set_num_threads(int(spec.loop["threads"]))
    set_arithmetic(spec.loop, context.device)
    training = Training(**assignment.training)
    corpus, features = context.corpus(spec.task), context.features(spec)
    split = split_corpus(context, spec, corpus)
    budget, budget_source = budget_meter(spec, split, training, context)
    budget.clock = clock
    features, memory = features.with_heartbeat(watchdog.beat), PeakMemory(context.device)

    def beat() -> None:
        watchdog.beat()
        context.require_lease()

    budget.beat = beat
    problem = make_problem(spec, context, corpus, features, split, training, budget, micro_batch)
    method: Method = (
        training_kind_of(spec) if spec.policy.trains else plugins.load("methods", spec.method.name, **assignment.method)
    )
    settings = {name: value for name, value in spec.loop.items() if name not in NOT_OF_THE_LOOP}
    return Prepared(
        assignment=assignment,
        context=context,
        watchdog=watchdog,
        corpus=corpus,
        split=split,
        features=features,
        problem=problem,
        method=method,
        loop=LoopSettings(**settings, micro_batch=micro_batch),
        memory=memory,
        budget_source=budget_source,
        seconds=clock() - began,
        curve=Curve.of(spec, context.store, corpus, split, features, problem),
    )


def unlearn(prepared: Prepared, report: Callable[[Unlearned], None], *, points: bool) -> Iterator[IntermediateResult]:
    """Train or unlearn; yield after each epoch, with the objective if `points`.

    `report` receives the outcome, also when an error or the caller ends the step early.

    Raises:
        MemorySpent: memory ran out with a batch in progress.
    """
    spec, context, problem = prepared.spec, prepared.context, prepared.problem
    outcome, weights, ended = Outcome(), problem.model.state_dict(), 0
    before = Before.of(weights) if spec.policy.unlearns and not spec.reports_original else None
    epochs = EpochCheckpoint(context.store, spec.trial_id) if spec.policy.trains else None
    curve = prepared.curve
    try:
        if curve:
            with prepared.watchdog:
                curve.start()
        epochs_done = run_method(
            prepared.method, problem, settings=prepared.loop, epochs=epochs, outcome=outcome, **_modifiers(spec)
        )
        for progress in prepared.watchdog.each(epochs_done):
            objective, ended = None, ended + progress.whole
            if points:
                with prepared.watchdog:
                    objective = objective_at(prepared.assignment, problem, context)
            if curve:
                with prepared.watchdog:
                    curve.after(progress)
            yield _epoch_result(spec, progress, objective)
    except Exception as error:
        largest, limit = prepared.budget.largest_batch, prepared.loop.micro_batch
        if is_out_of_memory(error) and largest:
            raise MemorySpent(min(largest, limit or largest), type_and_first_line(error)) from error
        raise
    finally:
        if curve:
            curve.save()
        passed = {"epochs_ended": ended} if spec.policy.unlearns else {}  # a training may go on from a checkpoint
        unlearned = Unlearned({**_cost(prepared, outcome), **passed})
        report(unlearned)
    if before:
        stored = partial(load_weights, context.store, str(spec.starts_from))
        unchanged = before.is_still(problem.model.state_dict(), stored)
        note = "; ".join(problem.notes) or _why_unchanged(unchanged, outcome)
        report(replace(unlearned, unchanged=unchanged, note=note))


def _epoch_result(spec: TrialSpec, progress: Progress, objective: float | None) -> IntermediateResult:
    known = progress.accuracy is not None and not math.isnan(progress.accuracy)  # D_v may be empty
    return IntermediateResult(
        budget_used=progress.budget_used,
        objective=objective,
        phase="training" if spec.policy.trains else "unlearning",
        epoch=progress.epoch + 1,
        epochs=progress.epochs,
        accuracy=progress.accuracy if known else None,
        loss=progress.loss,
    )


def _modifiers(spec: TrialSpec) -> dict[str, Any]:
    return {
        "superloss": SuperLoss(**spec.superloss) if spec.superloss else None,
        "forget_curriculum": ForgetCurriculum(**spec.curriculum) if spec.curriculum else None,
        "lora": Lora(**spec.lora) if spec.lora else None,
        "best_epoch": BestEpoch(**spec.best_epoch) if spec.best_epoch else None,
        "mislabeled": spec.request.get("kind") in WRONG_LABELS,
    }


def _cost(prepared: Prepared, outcome: Outcome) -> dict[str, Any]:
    budget, limit = prepared.budget, prepared.loop.micro_batch
    return {
        "optimization_seconds": budget.seconds,
        "samples": budget.samples,
        "steps": outcome.steps,
        "parameters": outcome.parameters,
        "budget_used": budget.used,
        "stop_reason": outcome.stop_reason,
        "budget_seconds": budget.limit if budget.unit == "seconds" else None,
        "budget_samples": budget.limit if budget.unit == "samples" else None,
        "evaluation_seconds": budget.evaluation_seconds,
        "peak_memory_bytes": prepared.memory.num_bytes,
        "micro_batch": limit if limit and limit < budget.largest_batch else None,
    }


def _why_unchanged(unchanged: bool, outcome: Outcome) -> str:
    """Explain why the weights are unchanged where the method itself notes nothing; empty if they changed."""
    if not unchanged:
        return ""
    early = outcome.stop_reason == "budget" and not outcome.steps
    return "the budget ended before the first change" if early else "the method ended without a change"


def evaluate(prepared: Prepared) -> Evaluated:
    """Predict the whole corpus and measure accuracy or errors, attacks and the objective of a search.

    Raises:
        Diverged: a loss is not finite.
    """
    spec, context, clock = prepared.spec, prepared.context, prepared.budget.clock
    model = prepared.problem.model
    began, evaluation = clock(), evaluation_of(model)
    if spec.reports_original:  # the original's own trial has predicted already
        answers = evaluation.load(context.store, spec.parents["original"])
    else:
        with prepared.watchdog:
            answers = evaluation.predict(model, prepared.features, prepared.corpus, context.device, context.scratch)
    peak, predicted = prepared.memory.num_bytes, clock()
    if prepared.curve:
        evaluation.end_curve(prepared.curve, answers, prepared.corpus)
    row = evaluation.measures(prepared.assignment, prepared.corpus, prepared.split, answers)
    now = evaluation.accuracies(row)
    return Evaluated(
        answers=answers,
        measures=row,
        objective=objective_at(prepared.assignment, prepared.problem, context, now),
        peak_memory_bytes=peak,
        seconds=clock() - began,
        seconds_per_utterance=(predicted - began) / len(prepared.corpus),
    )


def save(prepared: Prepared, evaluated: Evaluated) -> Saved:
    """Write what other trials, the report and the user read besides the row, and run the probes."""
    spec, store, problem, budget = prepared.spec, prepared.context.store, prepared.problem, prepared.budget
    policy, probe_seconds, evaluation = spec.policy, 0.0, evaluation_of(problem.model)
    keeps_model = policy.keeps_model or spec.is_start
    if keeps_model:
        save_weights(store, spec.trial_id, problem.model.state_dict())
        evaluation.save(store, spec.trial_id, evaluated.answers, evaluated.seconds_per_utterance)
        if problem.artifacts_to_store:
            with budget.preparing():
                save_artifacts(store, spec.trial_id, problem.artifacts_to_store)
    if policy.keeps_outputs:
        evaluation.keep_outputs(store, spec.trial_id, prepared.corpus, prepared.split, evaluated.answers)
    if spec.evidence and policy.runs_probes:
        from orchestrator.run.evaluation.probes import run_tests  # here: what it imports takes seconds

        with prepared.watchdog:
            probe_seconds = run_tests(
                spec,
                prepared.context,
                prepared.corpus,
                prepared.split,
                problem,
                prepared.loop,
                prepared.features.evaluate,
            )
    if spec.keep_model and not spec.reports_original:  # that model is kept by the trial that trained it
        from orchestrator.run.evaluation.export import keep_model

        keep_model(prepared.context, spec, problem.model, prepared.corpus)
    return Saved(probe_seconds, budget.preparation_seconds if keeps_model else None)
