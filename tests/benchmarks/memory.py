"""What a trial holds in memory of its own, and what it shares: measured in fresh processes, from Linux's own counts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from cells import nano, untrained_original, whisper_tiny
from clock import table, verdict

from orchestrator.plan.grid import build_grid
from orchestrator.plan.spec import TrialSpec
from orchestrator.plan.sweep_schema import Sweep
from orchestrator.results.store import open_store
from orchestrator.run.assignment import Assignment
from orchestrator.run.setup.context import WorkerContext
from orchestrator.run.trial import run_trial

MOST_EXTRA_MB = 300
PAUSE_SECONDS = 0.01
FLOATS_A_WEIGHT = 4  # weight, gradient and AdamW's two moments
BUDGET = {"fraction": 0.05, "unit": "samples"}  # some steps are enough, the evaluation is whole


def counted_mb(name: str, counts: str) -> float:
    """Sum of one count (`Anonymous`, `Rss`, `Pss`) in a text of /proc, in MB."""
    return sum(int(kilobytes) for kilobytes in re.findall(rf"^{name}: +(\d+) kB", counts, re.MULTILINE)) / 1024


def own_mb() -> float:
    """Memory of this process that is no file's: all that another process could not share."""
    return counted_mb("Anonymous", Path("/proc/self/smaps_rollup").read_text())


def mapped_mb(path: Path) -> tuple[float, float]:
    """Of a file mapped here: MB in memory, and this process's share of them."""
    maps = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())
    counts = "\n".join(part for part in maps if str(path) in part.split("\n", 1)[0])
    return counted_mb("Rss", counts), counted_mb("Pss", counts)


def watched(work: Any) -> float:
    """Largest `own_mb` while `work()` runs."""
    peak, over = own_mb(), threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(PAUSE_SECONDS):
            peak = max(peak, own_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        over.set()
        watcher.join()
    return max(peak, own_mb())


def child(folder: Path) -> dict[str, float]:
    """Run the trial described in `folder` and say what it took."""
    import torch
    import transformers.models.whisper.modeling_whisper  # noqa: F401  part of every process, not of the trial

    torch.set_num_threads(1)
    spec = TrialSpec.from_dict(json.loads((folder / "trial.json").read_text()))
    context = WorkerContext(open_store(folder / "results"), folder / "cache")
    features = next((folder / "cache" / "features").glob("*/features.npy"))
    before = own_mb()
    peak = watched(lambda: list(run_trial(Assignment(spec, spec.training, spec.method.settings), context)))
    row = context.store.row(spec.trial_id)
    assert row is not None, "the trial left no row"
    assert row["status"] == "done", row["error"]
    shape = np.load(features, mmap_mode="r").shape
    return {
        "process": before,
        "trial": peak - before,
        "weights": FLOATS_A_WEIGHT * 4 * row["parameters"] / 2**20,
        "batch": 4 * float(np.prod(shape[1:])) * spec.training["batch_size"] / 2**20,
        "features_on_disk": features.stat().st_size / 2**20,
    }


def shared(features: Path) -> tuple[float, float]:
    """The features read whole by this process and another at once: MB in memory, and the share that counts for us."""
    here = np.load(features, mmap_mode="r")
    float(here.sum())
    reader = "import numpy, sys; a = numpy.load(sys.argv[1], mmap_mode='r'); a.sum(); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", reader, str(features)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        found = mapped_mb(features)
        other.stdin.write("\n")
    return found


def report(scratch: Path) -> list[str]:
    """A trial of each size of backbone in a fresh process; and features that two processes read."""
    rows, maps = [], []
    for cell in (nano("whisper_nano"), whisper_tiny(scratch, seconds=1.0)):
        for method in ("scrub", "salun"):
            folder = scratch / "memory" / cell.folder
            context = cell.context(folder)
            sweep = Sweep.model_validate({**cell.sweep([method]), "time_budget": BUDGET})
            spec = next(spec for spec in build_grid(sweep).trials if spec.stage == "unlearn")
            untrained_original(context, spec)
            (folder / "trial.json").write_text(json.dumps(spec.to_dict()))
            done = subprocess.run(
                [sys.executable, __file__, str(folder)], capture_output=True, text=True, check=True
            )  # fmt: skip
            found = json.loads(done.stdout.splitlines()[-1])
            extra = found["trial"] - found["weights"] - found["batch"]
            rows.append(
                (cell.title, method, *(f"{found[k]:.0f}" for k in ("process", "trial", "weights")),
                 f"{found['batch']:.1f}", f"**{extra:.0f}**", verdict(extra, MOST_EXTRA_MB, at_most=True))
            )  # fmt: skip
        features = next((folder / "cache" / "features").glob("*/features.npy"))
        maps.append((cell.title, *(f"{mb:.1f}" for mb in (features.stat().st_size / 2**20, *shared(features)))))
    return [
        "## Memory of a trial",
        "",
        ("Anonymous memory of a fresh process in MB: after its imports, and what a trial adds at its peak, sampled "
        f"every {1e3 * PAUSE_SECONDS:.0f} ms. Weights and optimizer take four floats per parameter (weight, gradient, "
        "two moments)."),
        "",
        *table(
            (
                "cell", "method", "process", "trial adds", "weights and optimizer", "batch", "beyond these",
                "target, MB",
            ),
            rows,
        ),
        "",
        "Features are a memory-mapped file, so a second process that reads them halves what is counted to each:",
        "",
        *table(("cell", "file, MB", "in memory, MB", "counted to each of two processes, MB"), maps),
    ]  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(child(Path(sys.argv[1]))))
