"""Whole sweeps compared with what a user would do instead: `trainer_baseline.py`, run by run.

Both sides have the whole machine: `unlearn run` as in the README, and the script's runs one after another, each a
process of its own, which share one stored original per seed. Corpora exist before.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import trainer_baseline
import yaml
from against_trainer import Bench
from cells import METHODS, NANO_FAMILIES, SAMPLE, nano, whisper_tiny
from clock import table, verdict

from orchestrator.plan.spec import TrialSpec

SEEDS = (0, 1)
MOST_OF_A_SWEEP = 0.30
SCRIPT = Path(trainer_baseline.__file__)
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class SweepTimes:
    """One sweep on both sides."""

    cell: str
    script: float  # seconds of wall-clock, all processes
    script_training: float  # of them in `Trainer.train`
    script_threads: str
    ours: float  # seconds of wall-clock
    core_seconds: dict[str, float]  # ours, on all cores: what they were spent on
    row: tuple[object, ...] = ()  # of the table

    @property
    def ratio(self) -> float:
        return self.ours / self.script

    @property
    def steps_alone(self) -> float:
        """The ratio if nothing but our steps took time and no core were ever idle."""
        return self.core_seconds["steps"] / CORES / self.script


def sweep_times(bench: Bench) -> SweepTimes:
    """Wall-clock of one sweep on both sides; the corpus is there before both."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment["UNLEARN_CACHE"] = str(bench.context.cache_dir)
    for spec in bench.trials:
        bench.pretrained(spec)
    sweep = bench.folder / "bench.yaml"
    sweep.write_text(yaml.safe_dump(bench.cell.sweep()))
    where = ["--results", str(bench.folder / "results")]
    ours = _seconds([sys.executable, "-m", "orchestrator.cli", "run", str(sweep), *where], environment)
    script, threads, scores = 0.0, "", []
    for number, spec in enumerate(bench.trials):
        command = script_command(bench, spec)
        if number == 0:  # both ways: the script is to have the faster one
            one = {**environment, "OMP_NUM_THREADS": "1"}
            taken = {"one": _seconds(command, one), "all": _seconds(command, environment)}
            threads = min(taken, key=lambda name: taken[name])
            environment = one if threads == "one" else environment
            script += taken[threads]
        else:
            script += _seconds(command, environment)
        scores.append(json.loads((bench.out(spec) / "scores.json").read_text()))
    rows = bench.context.store.rows()
    assert set(rows["status"]) == {"done"}, "a trial did not finish"
    spent = {
        "steps": float(rows["optimization_seconds"].sum()),
        "evaluation": float(rows["evaluation_seconds"].sum()),
        "preparation": float(rows["setup_seconds"].sum()),
    }
    spent["the rest of the trials"] = float(rows["total_seconds"].sum()) - sum(spent.values())
    spent["start, end and waiting"] = ours * CORES - float(rows["total_seconds"].sum())
    row = (
        bench.cell.title, len(bench.trials),
        f"{sum(score['steps'] for score in scores)}, {int(rows['steps'].sum())}",
        f"{statistics.mean(score['test_accuracy'] for score in scores):.1%}, {rows['test_accuracy'].mean():.1%}",
    )  # fmt: skip
    training = sum(score["training_seconds"] for score in scores)
    return SweepTimes(
        cell=bench.cell.title, script=script, script_training=training, script_threads=threads, ours=ours,
        core_seconds=spent, row=row,
    )  # fmt: skip


def script_command(bench: Bench, spec: TrialSpec) -> list[str]:
    """The script's run of a trial as a command line."""
    model = bench.pretrained(spec) if spec.stage == "train" else bench.out(spec).parent / "original"
    values = {name: value for name, value in vars(bench.script(spec, model)).items() if value is not None}
    arguments = [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return [sys.executable, str(SCRIPT), *arguments]


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path.cwd())
    if done.returncode:
        raise RuntimeError(f"{command[:4]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def sweeps_report(scratch: Path) -> list[str]:
    """Wall-clock of whole sweeps, and what of it the steps are."""
    found = []
    for made in (nano(*NANO_FAMILIES), whisper_tiny(scratch, takes=10)):
        cell = replace(made, unlearning=[SAMPLE], seeds=SEEDS)
        found.append(sweep_times(Bench(cell, scratch / "sweeps" / cell.folder, scratch / "sweeps" / "cache")))
        print(found[-1], file=sys.stderr, flush=True)
    script, ours = sum(times.script for times in found), sum(times.ours for times in found)
    rows = [
        (
            *times.row, f"{times.script:.0f}", times.script_threads, f"{times.ours:.0f}", f"**{times.ratio:.2f}**",
            f"{times.steps_alone:.2f}", verdict(times.ratio, MOST_OF_A_SWEEP, at_most=True),
        )
        for times in found
    ]  # fmt: skip
    steps_alone = sum(times.steps_alone * times.script for times in found) / script
    total = (
        "all", sum(int(str(times.row[1])) for times in found), "", "", f"{script:.0f}", "", f"{ours:.0f}",
        f"**{ours / script:.2f}**", f"{steps_alone:.2f}", verdict(ours / script, MOST_OF_A_SWEEP, at_most=True),
    )  # fmt: skip
    return [
        "## A whole sweep, compared with the script run by run",
        "",
        (f"An original and {', '.join(METHODS)} for each backbone and {len(SEEDS)} seeds, 5 % of the utterances to "
        f"forget; of FSDD ten takes. Both sides have the whole machine, {CORES} cores: `unlearn run` as in the "
        "README, including Ray's start and the computation of features, with one thread per trial, compared with the "
        "script's processes one after another. The first of them runs with one thread and with torch's default, and "
        "the script gets the faster of the two. Corpora exist before, and neither side draws curves. Measured once."),
        "",
        *table(
            (
                "cell", "runs", "steps: script, ours", "mean test accuracy: script, ours", "script, s",
                "its threads", "this project, s", "ratio", "ratio of our steps alone", "target",
            ),
            [*rows, total],
        ),
        "",
        ('"Our steps alone" are our steps divided over all cores, with nothing else and no waiting, compared with the '
        "whole script: no start, order or evaluation can bring the ratio below that. A Whisper tiny's step consists of "
        'matrix products on both sides, at the rate given under "Close to the limit", so only the script\'s teachers '
        "can be saved there. Where the time goes, in wall-clock seconds for the script and in seconds of all cores for "
        "this project:"),
        "",
        *table(
            ("cell", "script: training", "script: the rest", *(f"ours: {name}" for name in found[0].core_seconds)),
            [
                (
                    times.cell, f"{times.script_training:.0f}", f"{times.script - times.script_training:.0f}",
                    *(f"{seconds:.0f}" for seconds in times.core_seconds.values()),
                )
                for times in found
            ],
        ),
    ]  # fmt: skip
