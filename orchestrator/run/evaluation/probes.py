"""Tests of forgetting that need the trial's model: relearning, probe, attribution, ZRF, canaries; and embeddings.

They are timed separately and not charged.

A sweep requests them under `evidence:`. They run after the row's measures, in the same way for Original, Retrain and
every method, and are written to `evidence/<trial_id>.parquet`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from methods.base import Batch, Classifier, UnlearningProblem, UtteranceSet
from methods.engine.loop import LoopSettings
from orchestrator.errors import type_and_first_line
from orchestrator.evidence.distances import zrf
from orchestrator.plan.spec import TrialSpec, stage_seed
from orchestrator.run.evaluation.attribution import attribution_maps
from orchestrator.run.evaluation.canaries import canary_evidence
from orchestrator.run.evaluation.embeddings import keep_embeddings
from orchestrator.run.evaluation.linear_probe import probe
from orchestrator.run.evaluation.relearning import relearn
from orchestrator.run.guards.device_errors import is_device_failure, is_out_of_memory
from orchestrator.run.guards.out_of_memory import MemorySpent, in_halves
from orchestrator.run.setup.context import WorkerContext
from orchestrator.run.setup.feature_cache import Fetch
from orchestrator.run.setup.problem import TrialSplit
from orchestrator.run.setup.scoring import EVALUATION_BATCH
from orchestrator.tasks.corpus import Corpus

SCHEMA = pa.schema(
    {
        "test": pa.string(), "measure": pa.string(), "forgotten": pa.int64(), "epoch": pa.int64(),
        "value": pa.float64(), "utterances": pa.int64(), "seconds": pa.float64(),
    }
)  # fmt: skip
MAPS_SCHEMA = pa.schema({"utterance_id": pa.string(), "part": pa.string(), "attribution": pa.list_(pa.float32())})
ATTRIBUTION_BATCH = 16


def run_tests(
    spec: TrialSpec,
    context: WorkerContext,
    corpus: Corpus,
    parts: TrialSplit,
    problem: UnlearningProblem,
    loop: LoopSettings,
    fetch: Fetch,
) -> float:
    """Run the tests in `spec.evidence` and write their results; return the seconds that they took.

    The model is not changed. `fetch` reads every row of the corpus, as evaluation does.
    """
    requested, began = spec.evidence or {}, problem.budget.clock()
    rows: list[dict[str, Any]] = []
    steps: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "relearning": lambda: in_halves(
            lambda size: relearn(spec, problem, replace(loop, micro_batch=size), requested["relearning"]),
            loop.micro_batch or problem.training.batch_size,
        ),
        "probe": lambda: probe(spec, corpus, parts, problem, fetch),
        "zrf": lambda: _zrf(problem),
        "embeddings": lambda: keep_embeddings(spec, context.store, corpus, parts, problem, fetch),
        "canaries": lambda: canary_evidence(spec, context, corpus, parts, problem, requested["canaries"]),
        "attribution": lambda: _attribution(spec, context, corpus, problem, requested["attribution"]),
    }
    for name, run in steps.items():
        if requested.get(name):
            started = problem.budget.clock()
            found = _caught(name, run)
            spent = problem.budget.clock() - started
            rows += [{"forgotten": None, "epoch": None, **row, "seconds": spent} for row in found]
    found_table = pa.Table.from_pylist(rows, schema=SCHEMA)
    store = context.store
    store.write_table(store.tests.path(spec.trial_id), found_table, compression="zstd")
    return problem.budget.clock() - began


def _caught(name: str, run: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the rows of a test; a test that fails is a row with a warning, since the trial itself is finished."""
    try:
        return run()
    except Exception as met:
        short = is_out_of_memory(met)
        if is_device_failure(met) or (isinstance(met, OSError) and not short):  # the trial runs again
            raise
        error = MemorySpent(1, type_and_first_line(met)) if short else met
        warnings.warn(f"the test {name} failed: {type(error).__name__}: {error}", stacklevel=2)
        return [{"test": name, "measure": "failed", "value": None, "utterances": 0}]


def _zrf(problem: UnlearningProblem) -> list[dict[str, Any]]:
    forget = replace(problem.forget, fetch=problem.validation.fetch)
    models = [model.eval() for model in (problem.model, problem.random_model())]

    def measured(size: int) -> float:
        batches = forget.batches(size)
        return zrf(tuple(_probabilities(model, batch) for model in models) for batch in batches)  # type: ignore[misc]

    value = in_halves(measured, EVALUATION_BATCH[forget.device.type])
    return [{"test": "zrf", "measure": "zrf", "value": value, "utterances": len(forget)}]


def _probabilities(model: Classifier, batch: Batch) -> npt.NDArray[np.float64]:
    with torch.no_grad():
        return model(batch.features, batch.lengths).double().cpu().softmax(dim=1).numpy()


def _attribution(
    spec: TrialSpec, context: WorkerContext, corpus: Corpus, problem: UnlearningProblem, settings: dict[str, Any]
) -> list[dict[str, Any]]:
    """Write attributions of the same utterances of D_f and D_r for every method; the report compares them."""
    seed = stage_seed("attribution", spec.task.title, spec.seed)
    rows, counts = [], []
    for part, utterances in (("forget", problem.forget), ("retain", problem.retain)):
        order = torch.randperm(len(utterances), generator=torch.Generator().manual_seed(seed))
        picked = utterances.select(order[: settings["utterances"]])
        chosen = replace(picked, fetch=problem.validation.fetch, durations=None)  # all maps of one length

        def mapped(size: int, chosen: UtteranceSet = chosen) -> Tensor:
            return attribution_maps(problem.model, chosen.batches(size), settings["steps"])

        maps = in_halves(mapped, ATTRIBUTION_BATCH).numpy()
        ids = corpus.utterance_ids[chosen.utterances.numpy()].astype(str)
        rows += [
            {"utterance_id": name, "part": part, "attribution": values.astype(np.float32)}
            for name, values in zip(ids, maps, strict=True)
        ]
        counts.append({"test": "attribution", "measure": part, "value": None, "utterances": len(chosen)})
    maps_table = pa.Table.from_pylist(rows, schema=MAPS_SCHEMA)
    store = context.store
    store.write_table(store.attribution_maps.path(spec.trial_id), maps_table, compression="zstd")
    return counts
