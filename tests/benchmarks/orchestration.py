"""What the driver costs: no-op trials through the real searcher, store and rows; 10,000 finished rows; a huge plan.

`python tests/benchmarks/orchestration.py [trials] [runs] [many] [rows] [planned]`: `runs` runs of `trials` no-op trials
for the time of each, one run of `many` for the driver's memory. A no-op trial is assigned by the dispatcher
through Ray Tune to a worker process, which writes a full row and nothing else. Driver time is processor time of the
driver process, all of its threads, so that what workers do on the same cores does not count.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
EDGE = 500  # trials at either end of a run that are compared
A_SEED = 71  # trials of one seed of `sweep_values`


@dataclass(frozen=True)
class Cost:
    """A process as a whole."""

    seconds: float  # wall
    processor_seconds: float
    peak_mb: float  # resident

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s ({self.processor_seconds:.1f} s of processor), {self.peak_mb:.0f} MB"


def sweep_values(seeds: int) -> dict[str, Any]:
    """A sweep of 71 trials a seed: one original, ten retrained, sixty unlearned."""
    return {
        "name": "driver", "tasks": ["espeak_keywords"], "backbones": ["logmel_cnn"], "seeds": list(range(seeds)),
        "unlearning": [{"kind": "sample", "forget_ratio": [0.01 * n for n in range(1, 11)]}],
        "methods": ["original", "retrain", "grad_ascent", "random_label", "salun", "scrub", "bad_teacher"],
        "tuning": {"seeds": [1_000_000]},  # a seed is either reported or tuned on
    }  # fmt: skip


def no_op_run(folder: Path, trials: int) -> list[tuple[float, int]]:
    """When each trial was settled, in driver seconds, and the driver's resident bytes then; through Ray Tune."""
    import psutil
    from ray import cloudpickle

    from orchestrator.plan.grid import build_grid
    from orchestrator.plan.sweep_schema import Sweep
    from orchestrator.results.store import open_store
    from orchestrator.run.evaluation.row import end_columns, start_columns
    from orchestrator.run.executors import ray_actor, ray_tune
    from orchestrator.run.progress.observer import LaunchObserver
    from orchestrator.run.scheduling.dispatcher import Dispatcher
    from orchestrator.run.setup.context import WorkerContext

    class NoOpActor(ray_actor.TrialActor):
        """Writes a row with what is known before and after a trial, and does nothing in between."""

        def step(self) -> dict[str, Any]:
            """One trial."""
            context, started = self._worker_context(), time.time()
            row = start_columns(self._config["payload"].assignment, context, started)
            row = {**row, **end_columns(started), "status": "done"}
            context.store.commit(row)
            return {**ray_actor.ENDED, "committed": ray_actor.CommittedRow(row)}

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    store, stamps, driver = open_store(folder), list[tuple[float, int]](), psutil.Process()

    class Stamps(LaunchObserver):
        """One for each row."""

        def finished(self, spec: Any, row: Any) -> None:
            """A row."""
            stamps.append((time.process_time(), driver.memory_info().rss))

    planned = build_grid(Sweep.model_validate(sweep_values(-(-trials // A_SEED)))).trials[:trials]
    dispatcher = Dispatcher(planned, {}, store, observer=Stamps())
    actor, ray_tune.TrialActor = ray_tune.TrialActor, NoOpActor
    try:
        ray_tune.run_on_ray(dispatcher, WorkerContext(store, folder / "cache"))
    finally:
        ray_tune.TrialActor = actor
    assert dispatcher.graph.counts() == {"done": trials}, dispatcher.graph.counts()
    return stamps


def no_op_stamps(folder: Path, trials: int) -> tuple[list[tuple[float, float]], Cost]:
    """One run of no-op trials in a process of its own: driver seconds and resident MB at each, and the whole cost."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        f"from orchestration import no_op_run\nfrom pathlib import Path\n"
        f"print('STAMPS', *(n for stamp in no_op_run(Path({str(folder)!r}), {trials}) for n in stamp))"
    )
    cost, out = child([sys.executable, "-c", code])
    flat = [float(text) for text in out.rpartition("STAMPS")[2].split()]
    return [(seconds, size / 2**20) for seconds, size in zip(flat[::2], flat[1::2], strict=True)], cost


def time_lines(folder: Path, trials: int, runs: int) -> Iterator[str]:
    """What a trial costs the driver, and whether the last trials of a run cost more than the first."""
    edge, all_each, ratios = min(EDGE, trials // 2), [], []
    for run in range(runs):
        stamps, cost = no_op_stamps(folder / f"no-op-{run}", trials)
        seconds = [stamp[0] for stamp in stamps]
        first, last = (seconds[edge - 1] - seconds[0]) / (edge - 1), (seconds[-1] - seconds[-edge]) / (edge - 1)
        all_each.append(1e3 * (seconds[-1] - seconds[0]) / (trials - 1))
        ratios.append(last / first)
        yield (
            f"{trials} no-op trials: {all_each[-1]:.1f} ms a trial of driver time; first {edge}: {1e3 * first:.1f} ms, "
            f"last {edge}: {1e3 * last:.1f} ms, ratio {ratios[-1]:.2f}; in all {cost}"
        )
    yield (
        f"median of {runs} runs of {trials} (lowest–highest): {median_of(all_each, 1)} ms a trial (≤ 40), "
        f"last {edge} over first {edge} {median_of(ratios, 2)} (≤ 1.5)"
    )


def median_of(values: list[float], digits: int) -> str:
    """A median with its spread."""
    return f"**{statistics.median(values):.{digits}f}** ({min(values):.{digits}f}–{max(values):.{digits}f})"


def memory_lines(folder: Path, trials: int) -> Iterator[str]:
    """What the driver holds at its peak when it ran so many trials itself, and what each added."""
    stamps, cost = no_op_stamps(folder / "many", trials)
    sizes = [stamp[1] for stamp in stamps]
    edge = min(EDGE, trials // 2)
    each = 2**10 * (sizes[-1] - sizes[edge - 1]) / (trials - edge)
    first, last = (1e3 * (stamps[at + edge - 1][0] - stamps[at][0]) / (edge - 1) for at in (0, trials - edge))
    yield (
        f"{trials} no-op trials: the driver's peak is **{cost.peak_mb:.0f} MB** (≤ 1500); {sizes[0]:.0f} MB at the "
        f"first, {sizes[edge - 1]:.0f} MB after {edge}, {sizes[-1]:.0f} MB at the end, {each:.0f} kB a trial; "
        f"first {edge}: {first:.1f} ms, last {edge}: {last:.1f} ms a trial; in all {cost}"
    )


def write_finished(folder: Path, count: int) -> Path:
    """A sweep file, and the rows of its first `count` trials, one file each; some trials are left to run."""
    from orchestrator.plan.grid import build_grid
    from orchestrator.plan.sweep_schema import Sweep
    from orchestrator.results.store import open_store
    from orchestrator.results.sweep_records import record_sweep
    from orchestrator.run.evaluation.row import end_columns, start_columns
    from orchestrator.run.scheduling.dispatcher import Dispatcher
    from orchestrator.run.setup.context import WorkerContext

    store, values = open_store(folder / "r"), sweep_values(count // A_SEED + 1)
    (folder / "driver.yaml").write_text(yaml.safe_dump(values))
    trials = build_grid(Sweep.model_validate(values)).trials
    dispatcher, context, started = Dispatcher(trials, {}, store), WorkerContext(store, folder / "cache"), time.time()
    measured = {f"{part}_accuracy": 0.5 + 1 / 3 for part in ("forget", "retain", "test", "validation", "holdout")}

    def write(number: int) -> None:
        row = start_columns(dispatcher.assign(trials[number]), context, started)
        store.commit({**row, **end_columns(started), **measured, "status": "done", "test_loss": number / 7})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(count)))
    record_sweep(store.files, "driver", values, [spec.trial_id for spec in trials])
    return folder / "driver.yaml"


FIRST_TRIAL = """
import os, sys
from orchestrator import load_sweep, run_sweep
from orchestrator.run.executors import local
def first(assignment, place):
    print("first trial", assignment.spec.trial_id, flush=True)
    os._exit(0)
local.run_trial = first
run_sweep(load_sweep(sys.argv[1]), sys.argv[2], executor="local")
"""


def finished_lines(folder: Path, count: int) -> list[str]:
    """What the commands cost on a folder of `count` finished trials: reading every row once, then by the index."""
    sweep, results = str(write_finished(folder, count)), str(folder / "r")
    commands = {
        "status, reading every row": unlearn("status", results),
        "status": unlearn("status", results),
        "plan": unlearn("plan", sweep, "--results", results),
        "first trial of a resumed run": [sys.executable, "-c", FIRST_TRIAL, sweep, results],
    }
    lines = []
    for what, command in commands.items():
        cost, _ = child(command)
        lines.append(f"{count} finished rows, {what}: {cost}")
    return lines


def plan_lines(folder: Path, trials: int) -> list[str]:
    """A plan of so many trials."""
    path = folder / "huge.yaml"
    path.write_text(yaml.safe_dump({**sweep_values(-(-trials // A_SEED)), "name": "huge"}))
    cost, out = child(unlearn("plan", str(path)))
    said = next(line for line in out.splitlines() if "trials to run" in line)
    return [f"plan of {said.split()[0]} trials: {cost}"]


def help_lines(rounds: int = 5) -> list[str]:
    """How long `unlearn --help` takes, the median of some rounds."""
    seconds = statistics.median(child(unlearn("--help"))[0].seconds for _ in range(rounds))
    return [f"unlearn --help: {seconds:.2f} s"]


def unlearn(*arguments: str) -> list[str]:
    """The command line in this Python."""
    return [sys.executable, "-m", "orchestrator.cli", *arguments]


def child(command: list[str]) -> tuple[Cost, str]:
    """Run a command; its cost, and what it wrote."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile() as out:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, command
        out.seek(0)
        scale = 2**20 if sys.platform == "darwin" else 2**10
        return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale), out.read().decode()


def lines(
    trials: int = 2_000, runs: int = 5, many: int = 10_000, rows: int = 10_000, planned: int = 100_000
) -> Iterator[str]:
    """All of it, as sentences."""
    yield from help_lines()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        yield from plan_lines(folder, planned)
        yield from time_lines(folder, trials, runs)
        yield from memory_lines(folder, many)
        yield from finished_lines(folder, rows)


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:]]
    for line in lines(*numbers):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
