"""Against what a user would do instead: a training step, and a whole sweep, beside `trainer_baseline.py`.

Both sides have the same clips of the same length, the same D_f, batch size, epochs and weights to start from. Steps
have one thread each. In whole sweeps both sides have the whole machine: `unlearn run` as the README gives it, and the
script's runs one after the other, each a process of its own, which share one stored original a seed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import trainer_baseline
import yaml
from cells import METHODS, NANO_FAMILIES, SAMPLE, Cell, nano, untrained_original, whisper_tiny
from clock import Times, table, verdict
from transformers import TrainerCallback

from methods.base import Training, UtteranceSet
from methods.engine.budget import BudgetMeter
from methods.engine.loop import LoopSettings, Outcome, run_method
from methods.engine.rates import resolved
from orchestrator import plugins
from orchestrator.plan.spec import TrialSpec
from orchestrator.run.setup.feature_cache import clip_samples
from orchestrator.run.setup.problem import make_problem, split_corpus

STEPS = 3  # timed in a round, after one that is not
ROUNDS = 3
SEEDS = (0, 1)  # of whole sweeps
BATCH = 32
TEACHERS = {"random_label": 0, "salun": 0, "scrub": 1, "bad_teacher": 2}
MOST_OF_A_STEP = {1: 0.75, 2: 0.65}  # by number of teachers
MOST_OF_A_SWEEP = 0.333
SCRIPT = Path(trainer_baseline.__file__)
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Bench:
    """One cell opened for both sides."""

    def __init__(self, cell: Cell, folder: Path, cache: Path | None = None) -> None:
        self.cell, self.folder, self.context = cell, folder, cell.context(folder, cache)
        self.trials = cell.trials()
        self.corpus = self.context.corpus(self.trials[0].task)
        self.samples = clip_samples(self.corpus, self.trials[0].clip["seconds"])

    def unlearning(self) -> list[TrialSpec]:
        return [spec for spec in self.trials if spec.stage == "unlearn"]

    def pretrained(self, spec: TrialSpec) -> Path:
        """The encoder with the head that the original starts from, as a transformers folder for the script."""
        folder = self.folder / "pretrained" / f"{spec.backbone.title}-{spec.original_seed}"
        if not folder.exists():
            model = self.context.model(spec, len(self.corpus.classes))
            backbone = self.context.backbone(spec.backbone)
            backbone.save_pretrained(model, folder, self.corpus.classes, clip_samples=self.samples)
        return folder

    def out(self, spec: TrialSpec) -> Path:
        """Where the script writes."""
        run = "original" if spec.stage == "train" else f"{spec.method.name}-{spec.request['kind']}"
        return self.folder / "script" / f"{spec.backbone.title}-{spec.seed}" / run

    def script(self, spec: TrialSpec, model: Path) -> trainer_baseline.Run:
        """The script's run of the same trial."""
        method = "original" if spec.stage == "train" else spec.method.name
        forget, path = next(iter(self.context.forget_sets(spec)), None), None
        if forget is not None:
            path = self.folder / f"{spec.request['kind']}-{spec.seed}.json"
            path.write_text(json.dumps(forget.rows.tolist()))
        own = spec.training["learning_rate"]
        settings = spec.training if method == "original" else resolved(spec.method.settings, own)
        shared = ("learning_rate", "epochs", "max_epochs", "batch_size", "saliency_share")
        return trainer_baseline.Run(
            method=method,
            corpus=self.corpus.path / "arrow",
            model=model,
            samples=self.samples,
            forget=path,
            out=self.out(spec),
            seed=spec.seed,
            **{name: settings[name] for name in shared if name in settings},
        )


def our_steps(bench: Bench, spec: TrialSpec) -> Iterator[list[float]]:
    """Endless rounds of seconds a step, through the loop, the features and the stored teacher of a trial."""
    context, corpus = bench.context, bench.corpus
    bank, training, parts = context.features(spec), Training(**spec.training), split_corpus(context, spec, corpus)
    untrained_original(context, spec)
    problem = make_problem(spec, context, corpus, bank, parts, training, BudgetMeter(), context.at_once(spec))
    loop = LoopSettings(**_loop(spec), micro_batch=context.at_once(spec))
    stamps: list[float] = []

    def stamped(utterances: UtteranceSet) -> UtteranceSet:
        def fetch(rows: Any) -> Any:
            stamps.append(time.perf_counter())
            return utterances.fetch(rows)

        return replace(utterances, fetch=fetch)

    few = (STEPS + 1) * BATCH - len(problem.forget) * (spec.method.name != "scrub")
    problem.forget = stamped(problem.forget)
    problem.retain = stamped(problem.retain.select(problem.retain.utterances < problem.retain.utterances[few]))
    settings = {**spec.method.settings, "epochs": 10**6}
    if spec.method.name == "scrub":
        settings["max_epochs"] = 0  # min steps only: they have the cross-entropy too
    method = plugins.load("methods", spec.method.name, **settings)
    if spec.method.name == "bad_teacher":  # one pass, whose epochs are the rounds
        method = replace(method, epochs=ROUNDS + 1)
    for _ in run_method(method, problem, settings=loop, outcome=Outcome()):
        stamps.append(time.perf_counter())
        yield [later - earlier for earlier, later in pairwise(stamps[-STEPS - 1 :])]


def _loop(spec: TrialSpec) -> dict[str, Any]:
    return {key: spec.loop[key] for key in ("clip_norm", "precision")}


class Stamps(TrainerCallback):  # type: ignore[misc]
    """The moment after each step."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.moments.append(time.perf_counter())


def script_steps(bench: Bench, spec: TrialSpec) -> tuple[Callable[[], list[float]], Callable[[], float]]:
    """A round of the script's seconds a step; and seconds that its feature extractor took in one batch since."""
    run = bench.script(spec, bench.pretrained(spec))
    trainers = trainer_baseline.passes(run, trainer_baseline.load_model(run.model), trainer_baseline.load_data(run))
    trainer = next(t for t in trainers if not getattr(t, "ascend", False))
    trainer.args.max_steps = STEPS + 1
    stamps, extractor, spent = Stamps(), trainer.data_collator, []
    trainer.add_callback(stamps)

    def collate(examples: Any) -> Any:
        started = time.perf_counter()
        batch = extractor(examples)
        spent.append(time.perf_counter() - started)
        return batch

    trainer.data_collator = collate

    def work() -> list[float]:
        stamps.moments.clear()
        with open(os.devnull, "w") as nowhere:
            printed, sys.stdout = sys.stdout, nowhere
            try:
                trainer.train()
            finally:
                sys.stdout = printed
        return [later - earlier for earlier, later in pairwise(stamps.moments)]

    return work, lambda: Times(spent).median


def step_rows(bench: Bench) -> list[tuple[object, ...]]:
    """One row a method: the script's step, ours, and the ratio."""
    rows = []
    for spec in bench.unlearning():
        if spec.request["kind"] != "sample":
            continue
        ours, (theirs, extraction) = our_steps(bench, spec), script_steps(bench, spec)
        script_seconds: list[float] = []
        our_seconds: list[float] = []
        for number in range(ROUNDS + 1):
            found, beside = theirs(), next(ours)
            if number:
                script_seconds += found
                our_seconds += beside
        script, own, extracted = Times(script_seconds), Times(our_seconds), extraction()
        ratio, teachers = own.median / script.median, TEACHERS[spec.method.name]
        rows.append(
            (
                bench.cell.title,
                spec.method.name,
                teachers,
                script,
                own,
                f"**{ratio:.2f}**",
                f"{own.median / (script.median - extracted):.2f}",
                verdict(ratio, MOST_OF_A_STEP[teachers], at_most=True) if teachers else "",
            )
        )
    return rows


def steps_report(scratch: Path) -> list[str]:
    """Step times of both sides on every cell."""
    rows = []
    for cell in (whisper_tiny(scratch, seconds=1.0), *map(nano, NANO_FAMILIES)):
        rows += step_rows(Bench(cell, scratch / "steps" / cell.folder))
        print(*rows[-len(METHODS) :], sep="\n", file=sys.stderr, flush=True)
    return [
        "## A step, compared with Hugging Face's `Trainer`",
        "",
        ("`tests/benchmarks/trainer_baseline.py` on the same clips of 1 s: feature extractor and teacher forwards at "
        f"every step. Batch {BATCH}, one process, sides alternating: ms, median (lowest–highest) of {ROUNDS} rounds of "
        f"{STEPS} steps."),
        "",
        *table(
            (
                "cell", "method", "teachers", "script, ms", "this project, ms", "ratio",
                "ratio without the script's feature extraction", "target",
            ),
            rows,
        ),
    ]  # fmt: skip


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
        "the script gets the faster of the two. Corpora exist before. Measured once."),
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
