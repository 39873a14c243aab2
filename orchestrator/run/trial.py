"""One trial, on one page: corpus, split, original, unlearning, evaluation, row. No Ray here."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import torch

from methods.base import Method, Training
from methods.engine.loop import Diverged, LoopSettings, Outcome, run_method
from methods.modifiers.curriculum import ForgetCurriculum
from methods.modifiers.lora import Lora
from methods.modifiers.superloss import SuperLoss
from orchestrator import plugins
from orchestrator.plan.originals import training_kind_of
from orchestrator.plan.spec import TrialSpec
from orchestrator.run.assignment import TRANSIENT, Assignment, IntermediateResult
from orchestrator.run.evaluation.measures import keep_outputs, measures
from orchestrator.run.evaluation.objective import objective_at
from orchestrator.run.evaluation.probes import run_tests
from orchestrator.run.evaluation.row import end_columns, start_columns
from orchestrator.run.evaluation.unchanged import Before
from orchestrator.run.guards.device_errors import DeviceFailed, first_line, is_device_failure, is_out_of_memory
from orchestrator.run.guards.out_of_memory import MemorySpent, retry_with_smaller_batches
from orchestrator.run.guards.peak_memory import PeakMemory
from orchestrator.run.guards.running_clock import RunningClock
from orchestrator.run.guards.watchdog import Hung, Watchdog
from orchestrator.run.setup.arithmetic import set_arithmetic
from orchestrator.run.setup.checkpoints import (
    EpochCheckpoint,
    load_logits,
    load_weights,
    save_logits,
    save_prepared,
    save_weights,
)
from orchestrator.run.setup.context import WorkerContext
from orchestrator.run.setup.problem import budget_meter, make_problem, predict, split_corpus


def run_trial(
    assignment: Assignment, context: WorkerContext, *, points: bool = False, own_process: bool = False
) -> Iterator[IntermediateResult]:
    """Run the trial and commit its row; yields after each epoch, with the objective where `points` are asked for.

    Only errors of the moment leave this generator: divergence, a bug in a method, and a hang are rows. An `own_process`
    process is ended, its row committed, when nothing else ends a hang.
    """
    spec = assignment.spec
    started = time.time()
    row = start_columns(assignment, context, started)
    epochs, clock = EpochCheckpoint(context.store, spec.trial_id), RunningClock()

    def give_up(report: str) -> None:
        hung = {"status": "failed", "stop_reason": "hang", "error": report}
        try:
            if not _is_done(context, spec):
                context.store.commit({**row, **end_columns(started), **hung})
        finally:
            os._exit(1)

    def attempt(micro_batch: int | None) -> Iterator[IntermediateResult]:
        watchdog = Watchdog(context.limits.hang_seconds, give_up if own_process else None, clock=clock)
        try:
            yield from _run(assignment, context, row, points, watchdog, clock, micro_batch)
        except Exception as error:  # outside of the batches of a method
            if is_out_of_memory(error):
                raise MemorySpent(0, first_line(error)) from error
            raise

    try:
        with clock:
            yield from retry_with_smaller_batches(
                attempt, context.at_once(spec), context.found_size(spec), epochs.drop, context.drop_features
            )
        row["status"] = "done"
    except Hung as error:
        row.update(status="failed", stop_reason="hang", error=str(error))
    except Diverged as error:
        row.update(status="diverged", stop_reason="diverged", error=str(error))
    except TRANSIENT:
        raise
    except GeneratorExit:  # a scheduler stopped this trial
        context.store.commit({**row, **end_columns(started), "status": "pruned", "stop_reason": "pruned"})
        raise
    except Exception as error:
        if is_device_failure(error):
            raise DeviceFailed(
                f"the device failed, and this process can use it no more: {first_line(error)}"
            ) from error
        row.update(status="failed", stop_reason="error", error=traceback.format_exc())
    if row["status"] != "done" and _is_done(context, spec):
        raise OSError(f"ran again to keep its model, and came to nothing: {row['error']}")
    context.store.commit({**row, **end_columns(started)})
    with suppress(OSError):  # the row stands: nothing is to be tried again
        epochs.drop()


def _is_done(context: WorkerContext, spec: TrialSpec) -> bool:
    """Whether there is a finished row already, of a trial that runs again for its model: what was measured stands."""
    row = context.store.row(spec.trial_id)
    return row is not None and row["status"] == "done"


def _run(
    assignment: Assignment,
    context: WorkerContext,
    row: dict[str, Any],
    points: bool,
    watchdog: Watchdog,
    clock: RunningClock,
    micro_batch: int | None,
) -> Iterator[IntermediateResult]:
    spec, began = assignment.spec, clock()
    torch.set_num_threads(int(spec.loop["threads"]))
    set_arithmetic(spec.loop, context.device)
    training = Training(**assignment.training)
    corpus, bank = context.corpus(spec.task), context.features(spec)
    parts = split_corpus(context, spec, corpus)
    meter, row["budget_source"] = budget_meter(spec, parts, training, context)
    meter.clock = clock
    bank, memory = bank.telling(watchdog.beat), PeakMemory(context.device)

    def beat() -> None:
        watchdog.beat()
        context.require_lease()

    meter.beat = beat
    problem = make_problem(spec, context, corpus, bank, parts, training, meter, micro_batch)
    trains = spec.stage in ("train", "study", "retrain")
    method: Method = (
        training_kind_of(spec) if trains else plugins.load("methods", spec.method.name, **assignment.method)
    )
    chosen = {name: value for name, value in spec.loop.items() if name not in ("threads", "deterministic")}
    loop = LoopSettings(**chosen, micro_batch=micro_batch)
    laid_over: dict[str, Any] = {
        "superloss": SuperLoss(**spec.superloss) if spec.superloss else None,
        "forget_curriculum": ForgetCurriculum(**spec.curriculum) if spec.curriculum else None,
        "lora": Lora(**spec.lora) if spec.lora else None,
    }
    epochs = EpochCheckpoint(context.store, spec.trial_id) if trains else None
    outcome = Outcome()
    unlearns = spec.stage in ("unlearn", "tune") and spec.line != "original"
    before = Before.of(problem.model.state_dict()) if unlearns else None
    row["setup_seconds"] = clock() - began
    try:
        walk = run_method(method, problem, settings=loop, epochs=epochs, outcome=outcome, **laid_over)
        for progress in watchdog.each(walk):
            if points:
                with watchdog:
                    row["objective"] = objective_at(assignment, problem, context)
            yield IntermediateResult(progress.budget_used, row.get("objective"))
    except Exception as error:
        if is_out_of_memory(error) and meter.largest_batch:
            tried = min(meter.largest_batch, micro_batch or meter.largest_batch)
            raise MemorySpent(tried, first_line(error)) from error
        raise
    finally:
        row.update(
            optimization_seconds=meter.seconds,
            samples=meter.samples,
            steps=outcome.steps,
            parameters=outcome.parameters,
            budget_used=meter.used,
            stop_reason=outcome.stop_reason,
            budget_seconds=meter.limit if meter.unit == "seconds" else None,
            budget_samples=meter.limit if meter.unit == "samples" else None,
            evaluation_seconds=meter.evaluation_seconds,
            peak_memory_bytes=memory.num_bytes,
            micro_batch=micro_batch if micro_batch and micro_batch < meter.largest_batch else None,
        )
    if before:
        stored = partial(load_weights, context.store, str(spec.starts_from))
        row["unchanged"] = before.is_still(problem.model.state_dict(), stored)
        row["note"] = "; ".join(problem.notes) or _why_unchanged(row)
    evaluation = clock()
    if spec.stage == "unlearn" and spec.line == "original":  # nothing moved: its own trial has predicted already
        logits = load_logits(context.store, spec.parents["original"])[0]
    else:
        with watchdog:
            logits = predict(problem.model, bank, len(corpus), context.device, context.scratch)
    row["peak_memory_bytes"] = memory.num_bytes
    spent = clock() - evaluation
    row.update(measures(assignment, corpus, parts, logits))
    now = {"f": row["forget_accuracy"], "r": row["retain_accuracy"], "v": row["validation_accuracy_kept_classes"]}
    row["objective"] = objective_at(assignment, problem, context, now)
    row["evaluation_seconds"] += clock() - evaluation
    if spec.stage == "train" or spec.is_start:
        save_weights(context.store, spec.trial_id, problem.model.state_dict())
        save_logits(context.store, spec.trial_id, logits, spent / len(corpus))
        if problem.stored:
            with meter.preparing():
                save_prepared(context.store, spec.trial_id, problem.stored)
        row["preparation_seconds"] = meter.preparation_seconds
    if spec.stage in ("train", "retrain", "unlearn"):
        keep_outputs(context.store, spec.trial_id, corpus, parts, logits)
    if spec.evidence and spec.stage in ("retrain", "unlearn"):
        with watchdog:
            row["evaluation_seconds"] += run_tests(spec, context, corpus, parts, problem, loop, bank.evaluate)
    if spec.keep_model and not (spec.stage == "unlearn" and spec.line == "original"):  # that one is the train trial's
        from orchestrator.run.evaluation.export import keep_model

        keep_model(context, spec, problem.model, corpus)


def _why_unchanged(row: Mapping[str, Any]) -> str:
    """What a row says of a method that changed nothing and says nothing itself."""
    if not row["unchanged"]:
        return ""
    early = row["stop_reason"] == "budget" and not row["steps"]
    return "the budget ended before the first change" if early else "the method ended without a change"
