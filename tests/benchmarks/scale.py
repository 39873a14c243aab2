"""What commands cost on folders of 1,000, 10,000 and 50,000 finished trials: index, report, evidence, leaderboard.

`python tests/benchmarks/scale.py [rows ...]`. Rows and outputs are made up; everything that reads them is real. Each
command is a process of its own. Memory is the most that was resident, less what importing the same modules takes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from orchestration import child, unlearn

SIZES = (1_000, 10_000, 50_000)
PARTS = {"forget": 24, "retain": 24, "validation": 40, "test": 40, "holdout": 24}  # utterances of a trial's outputs
CLASSES = 12
A_SEED = 1_136  # trials of one seed of `sweep_values`
INDEX = "import sys; from orchestrator.results.store import open_store; print(len(open_store(sys.argv[1]).rows()))"
WRITE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from scale import write_folder;"
    "write_folder(Path(sys.argv[2]), int(sys.argv[3]))"
)
INDEX_IMPORTS = "import pandas, pyarrow.parquet; from orchestrator.results.store import open_store"
REPORT_IMPORTS = (
    "import orchestrator.report.write, orchestrator.report.leaderboard.page, orchestrator.report.evidence.write"
)


def sweep_values(seeds: int) -> dict[str, Any]:
    """A sweep of two tasks and eight backbones: 16 originals, 160 retrained and 960 unlearned models a seed."""
    return {
        "name": "scale", "seeds": list(range(seeds)), "tuning": {"seeds": [1_000_000]},
        "tasks": ["espeak_keywords", "espeak_speakers"],
        "backbones": [{"name": "logmel_cnn", "as": f"net{number}"} for number in range(8)],
        "unlearning": [{"kind": "sample", "forget_ratio": [0.01 * n for n in range(1, 11)]}],
        "methods": ["original", "retrain", "grad_ascent", "random_label", "salun", "scrub", "bad_teacher"],
    }  # fmt: skip


def outputs_of(rng: np.random.Generator, forgotten: np.ndarray[Any, Any], shift: float) -> pa.Table:
    """A trial's outputs as a trial stores them: random logits, D_f's label `shift` nats ahead."""
    parts = np.repeat(list(PARTS), list(PARTS.values()))
    ids = np.concatenate([[f"{part}-{number}" for number in range(count)] for part, count in PARTS.items()])
    ids[parts == "forget"] = forgotten
    labels = rng.integers(CLASSES, size=len(parts))
    logits = rng.normal(size=(len(parts), CLASSES)).astype(np.float32)
    logits[np.arange(len(parts)), labels] += np.where(parts == "forget", shift, 1.0)
    columns = {"utterance_id": ids, "part": parts, "label": labels, "true_label": labels}
    stacked = pa.FixedSizeListArray.from_arrays(pa.array(logits.reshape(-1)), CLASSES)
    return pa.table({**columns, "logits": stacked})


def write_folder(folder: Path, count: int) -> Path:
    """A results folder with the rows and outputs of the first `count` trials of the sweep."""
    from orchestrator.plan.grid import build_grid
    from orchestrator.plan.spec import stage_seed
    from orchestrator.plan.sweep_schema import Sweep
    from orchestrator.results.store import open_store
    from orchestrator.results.sweep_records import record_sweep
    from orchestrator.run.evaluation.row import end_columns, start_columns
    from orchestrator.run.scheduling.dispatcher import Dispatcher
    from orchestrator.run.setup.context import WorkerContext

    store, values = open_store(folder), sweep_values(-(-count // A_SEED))
    trials = build_grid(Sweep.model_validate(values)).trials
    dispatcher, context, started = Dispatcher(trials, {}, store), WorkerContext(store, folder / "cache"), time.time()

    def write(number: int) -> None:
        spec = trials[number]
        rng = np.random.default_rng(number)
        row = {**start_columns(dispatcher.assign(spec), context, started), **end_columns(started), "status": "done"}
        ratio = float(spec.request.get("forget_ratio") or 0.0)
        for part in ("forget", "retain", "test", "validation", "holdout"):
            row |= {f"{part}_accuracy": rng.uniform(0.5, 1.0), f"{part}_macro_f1": 0.5, f"{part}_loss": 1.0}
        row |= {"num_forget": PARTS["forget"], "num_holdout": PARTS["holdout"], "num_classes": CLASSES,
                "forget_ratio": ratio, "requested_forget_ratio": ratio, "mia_reference": "holdout",
                "mia_nonmember": 0.5, "mia_auc": 0.5, "mia_accuracy": 0.5, "optimization_seconds": rng.uniform(1, 2),
                "corpus_fingerprint": spec.task.title, "collapsed": False, "tuning": False}  # fmt: skip
        if spec.forget:
            drawn = np.random.default_rng(stage_seed("forgotten", spec.task.title, ratio, spec.seed))
            ids = np.array([f"u{number}" for number in drawn.permutation(1_000)[: PARTS["forget"]]])
            outputs = outputs_of(rng, ids, {"original": 2.0, "retrain": 1.0}.get(spec.method_name, 1.5))
            store.write_table(f"outputs/{spec.trial_id}.parquet", outputs, compression="zstd")
        store.commit(row)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(min(count, len(trials)))))
    record_sweep(store.files, "scale", values, [spec.trial_id for spec in trials[:count]])
    return folder


def lines(sizes: Sequence[int] = SIZES) -> Iterator[str]:
    """All of it, as sentences."""
    base = {of: child([sys.executable, "-c", of])[0].peak_mb for of in (INDEX_IMPORTS, REPORT_IMPORTS)}
    for count in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = str(Path(scratch) / "r")
            # In a process of its own: a child's peak counts from what its parent had.
            child([sys.executable, "-c", WRITE, str(Path(__file__).parent), folder, str(count)])
            commands = {
                "cold index": ([sys.executable, "-c", INDEX, folder], INDEX_IMPORTS),
                "warm index": ([sys.executable, "-c", INDEX, folder], INDEX_IMPORTS),
                "report": (unlearn("report", folder), REPORT_IMPORTS),
                "evidence": (unlearn("evidence", folder), REPORT_IMPORTS),
                "leaderboard": (unlearn("leaderboard", folder), REPORT_IMPORTS),
            }
            for what, (command, imports) in commands.items():
                cost, _ = child(command)
                yield f"{count} rows, {what}: {cost}, {cost.peak_mb - base[imports]:.0f} MB above the imports"


if __name__ == "__main__":
    for line in lines([int(text) for text in sys.argv[1:]] or SIZES):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
