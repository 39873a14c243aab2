"""Tests of forgetting that need the trial's model: relearning, probe, attribution, ZRF; timed apart, never charged.

They are asked for by `evidence:` in the sweep, run after the row's measures, and go to `evidence/<trial_id>.parquet`.
Original, Retrain and every method take the same path.
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

from methods.base import Batch, Classifier, UnlearningProblem
from methods.loops import LoopSettings
from orchestrator.evidence.distances import zrf
from orchestrator.plan.spec import TrialSpec, stage_seed
from orchestrator.run.attribution import attribution_maps
from orchestrator.run.place import Place
from orchestrator.run.probe import probe
from orchestrator.run.problem import EVALUATION_BATCH, Parts
from orchestrator.run.relearn import relearn
from orchestrator.tasks.base import Corpus

SCHEMA = pa.schema(
    {
        "test": pa.string(), "measure": pa.string(), "forgotten": pa.int64(), "epoch": pa.int64(),
        "value": pa.float64(), "utterances": pa.int64(), "seconds": pa.float64(),
    }
)  # fmt: skip
MAPS_SCHEMA = pa.schema({"utterance_id": pa.string(), "part": pa.string(), "attribution": pa.list_(pa.float32())})
ATTRIBUTION_BATCH = 16


def run_tests(
    spec: TrialSpec, place: Place, corpus: Corpus, parts: Parts, problem: UnlearningProblem, loop: LoopSettings
) -> float:
    """Run what `spec.evidence` asks for and write it; returns the seconds that it took. The model is left as it was."""
    asked, began = spec.evidence or {}, problem.meter.clock()
    rows: list[dict[str, Any]] = []
    steps: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "relearning": lambda: relearn(spec, problem, loop, asked["relearning"]),
        "probe": lambda: probe(spec, corpus, parts, problem),
        "zrf": lambda: _zrf(problem),
        "attribution": lambda: _attribution(spec, place, corpus, problem, asked["attribution"]),
    }
    for name, run in steps.items():
        if asked.get(name):
            started = problem.meter.clock()
            found = _caught(name, run)
            spent = problem.meter.clock() - started
            rows += [{"forgotten": None, "epoch": None, **row, "seconds": spent} for row in found]
    found_table = pa.Table.from_pylist(rows, schema=SCHEMA)
    place.store.write_table(f"evidence/{spec.trial_id}.parquet", found_table, compression="zstd")
    return problem.meter.clock() - began


def _caught(name: str, run: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What a test found; one that fails says so and leaves the trial, which is finished, as it is."""
    try:
        return run()
    except (OSError, MemoryError, torch.OutOfMemoryError):  # of the moment: the executor tries again
        raise
    except Exception as error:
        warnings.warn(f"the test {name} failed: {type(error).__name__}: {error}", stacklevel=2)
        return [{"test": name, "measure": "failed", "value": None, "utterances": 0}]


def _zrf(problem: UnlearningProblem) -> list[dict[str, Any]]:
    forget = replace(problem.forget, fetch=problem.validation.fetch)
    models = [model.eval() for model in (problem.model, problem.random_model())]
    batches = forget.batches(EVALUATION_BATCH[forget.device.type])
    value = zrf(tuple(_probabilities(model, batch) for model in models) for batch in batches)  # type: ignore[misc]
    return [{"test": "zrf", "measure": "zrf", "value": value, "utterances": len(forget)}]


def _probabilities(model: Classifier, batch: Batch) -> npt.NDArray[np.float64]:
    with torch.no_grad():
        return model(batch.features, batch.lengths).double().cpu().softmax(dim=1).numpy()


def _attribution(
    spec: TrialSpec, place: Place, corpus: Corpus, problem: UnlearningProblem, settings: dict[str, Any]
) -> list[dict[str, Any]]:
    """Maps of the same utterances of D_f and D_r for every method, to be compared when they are read."""
    seed = stage_seed("attribution", spec.task.title, spec.seed)
    rows, counts = [], []
    for part, utterances in (("forget", problem.forget), ("retain", problem.retain)):
        order = torch.randperm(len(utterances), generator=torch.Generator().manual_seed(seed))
        picked = utterances.where(order[: settings["utterances"]])
        chosen = replace(picked, fetch=problem.validation.fetch, durations=None)  # all maps of one length
        maps = attribution_maps(problem.model, chosen.batches(ATTRIBUTION_BATCH), settings["steps"]).numpy()
        ids = corpus.utterance_ids[chosen.utterances.numpy()].astype(str)
        rows += [
            {"utterance_id": name, "part": part, "attribution": values.astype(np.float32)}
            for name, values in zip(ids, maps, strict=True)
        ]
        counts.append({"test": "attribution", "measure": part, "value": None, "utterances": len(chosen)})
    maps_table = pa.Table.from_pylist(rows, schema=MAPS_SCHEMA)
    place.store.write_table(f"evidence/{spec.trial_id}.attribution.parquet", maps_table, compression="zstd")
    return counts
