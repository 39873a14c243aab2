"""Against what a user would do instead: a training step, and a whole sweep, beside `trainer_baseline.py`.

Both sides have one thread, the same clips of the same length, the same D_f, batch size, epochs and weights to start
from. The script's runs follow each other, each a process of its own, and share one stored original.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import trainer_baseline
import yaml
from cells import METHODS, NANO_FAMILIES, SAMPLE, Cell, nano, untrained_original, whisper_tiny
from clock import Times, table, verdict
from transformers import TrainerCallback

from methods.base import Training, UtteranceSet
from methods.loops import LoopSettings, Outcome, run_method
from methods.meter import Meter
from orchestrator import plugins
from orchestrator.plan.spec import TrialSpec
from orchestrator.run.features import clip_samples
from orchestrator.run.problem import make_problem, split_parts

STEPS = 3  # timed in a round, after one that is not
ROUNDS = 3
SWEPT = ("whisper_nano",)  # families of the whole sweep; each takes some four minutes
BATCH = 32
TEACHERS = {"random_label": 0, "salun": 0, "scrub": 1, "bad_teacher": 2}
MOST_OF_A_STEP = {1: 0.75, 2: 0.65}  # by number of teachers
MOST_OF_A_SWEEP = 0.333
SCRIPT = Path(trainer_baseline.__file__)


class Bench:
    """One cell opened for both sides."""

    def __init__(self, cell: Cell, folder: Path) -> None:
        self.cell, self.folder, self.place = cell, folder, cell.place(folder)
        self.trials = cell.trials()
        self.corpus = self.place.corpus(self.trials[0].task)
        self.samples = clip_samples(self.corpus, self.trials[0].clip["seconds"])

    def unlearning(self) -> list[TrialSpec]:
        return [spec for spec in self.trials if spec.stage == "unlearn"]

    def pretrained(self, spec: TrialSpec) -> Path:
        """The encoder with the head that the original starts from, as a transformers folder for the script."""
        folder = self.folder / "pretrained" / spec.backbone.title
        if not folder.exists():
            model = self.place.model(spec, len(self.corpus.classes))
            backbone = self.place.backbone(spec.backbone)
            backbone.save_pretrained(model, folder, self.corpus.classes, clip_samples=self.samples)
        return folder

    def out(self, spec: TrialSpec) -> Path:
        """Where the script writes."""
        run = "original" if spec.stage == "train" else f"{spec.method.name}-{spec.request['kind']}"
        return self.folder / "script" / spec.backbone.title / run

    def script(self, spec: TrialSpec, model: Path) -> trainer_baseline.Run:
        """The script's run of the same trial."""
        method = "original" if spec.stage == "train" else spec.method.name
        forget, path = self.place.forget_set(spec), None
        if forget is not None:
            path = self.folder / f"{spec.request['kind']}.json"
            path.write_text(json.dumps(forget.rows.tolist()))
        settings = spec.training if method == "original" else spec.method.settings
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
    place, corpus = bench.place, bench.corpus
    bank, training, parts = place.features(spec), Training(**spec.training), split_parts(place, spec, corpus)
    untrained_original(place, spec)
    problem = make_problem(spec, place, corpus, bank, parts, training, Meter())
    stamps: list[float] = []

    def stamped(utterances: UtteranceSet) -> UtteranceSet:
        def fetch(rows: Any) -> Any:
            stamps.append(time.perf_counter())
            return utterances.fetch(rows)

        return replace(utterances, fetch=fetch)

    few = (STEPS + 1) * BATCH - len(problem.forget) * (spec.method.name != "scrub")
    problem.forget = stamped(problem.forget)
    problem.retain = stamped(problem.retain.where(problem.retain.utterances < problem.retain.utterances[few]))
    settings = {**spec.method.settings, "epochs": 10**6}
    if spec.method.name == "scrub":
        settings["max_epochs"] = 0  # min steps only: they have the cross-entropy too
    method = plugins.load("methods", spec.method.name, **settings)
    if spec.method.name == "bad_teacher":  # one pass, whose epochs are the rounds
        method = replace(method, epochs=ROUNDS + 1)
    for _ in run_method(method, problem, settings=LoopSettings(**_loop(spec)), outcome=Outcome()):
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
        "## A step, against Hugging Face's `Trainer`",
        "",
        ("`tests/benchmarks/trainer_baseline.py` on the same clips of 1 s: feature extractor and teacher forwards at "
        f"every step. Batch {BATCH}, one process, sides in turns: ms, median (lowest–highest) of {ROUNDS} rounds of "
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


def sweep_row(bench: Bench) -> tuple[tuple[object, ...], float, float]:
    """Wall-clock of one cell's sweep on both sides; the corpus is there before both."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "UNLEARN_CACHE": str(bench.place.cache_dir)}
    for spec in bench.trials:
        bench.pretrained(spec)
    sweep = bench.folder / "bench.yaml"
    sweep.write_text(yaml.safe_dump(bench.cell.sweep()))
    where = ["--executor", "local", "--results", str(bench.folder / "results")]
    ours = _seconds([sys.executable, "-m", "orchestrator.cli", "run", str(sweep), *where], environment)
    script, scores = 0.0, []
    for spec in bench.trials:
        run = bench.script(
            spec, bench.pretrained(spec) if spec.stage == "train" else bench.out(spec).parent / "original"
        )
        values = {name: value for name, value in vars(run).items() if value is not None}
        arguments = [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        script += _seconds([sys.executable, str(SCRIPT), *arguments], environment)
        scores.append(json.loads((bench.out(spec) / "scores.json").read_text()))
    rows = bench.place.store.rows()
    assert set(rows["status"]) == {"done"}, "a trial did not finish"
    row = (
        bench.cell.title, len(bench.trials),
        f"{sum(score['steps'] for score in scores)}, {int(rows['steps'].sum())}",
        f"{statistics.mean(score['test_accuracy'] for score in scores):.1%}, {rows['test_accuracy'].mean():.1%}",
        f"{script:.0f}", f"{ours:.0f}",
        f"**{ours / script:.2f}**", verdict(ours / script, MOST_OF_A_SWEEP, at_most=True),
    )  # fmt: skip
    return row, script, ours


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path.cwd())
    if done.returncode:
        raise RuntimeError(f"{command[:4]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def sweeps_report(scratch: Path) -> list[str]:
    """Wall-clock of whole sweeps."""
    rows, script, ours = [], 0.0, 0.0
    tiny = replace(whisper_tiny(scratch, takes=10), unlearning=[SAMPLE])
    for cell in (nano(*SWEPT), tiny):
        row, theirs, own = sweep_row(Bench(cell, scratch / "sweeps" / cell.folder))
        rows.append(row)
        script, ours = script + theirs, ours + own
    total = ("all", "", "", "", f"{script:.0f}", f"{ours:.0f}", f"**{ours / script:.2f}**")
    met = verdict(ours / script, MOST_OF_A_SWEEP, at_most=True)
    return [
        "## A whole sweep, against the script run by run",
        "",
        (f"An original a backbone and {', '.join(METHODS)}; the nano family forgets 5 % of the utterances and one "
            "class, Whisper tiny 5 % of the utterances of ten takes; one seed; "
        "`unlearn run --executor local` against the script's processes one after the other, one thread each. Measured "
        "once. Corpora are there before; features are made inside our time. Where training dominates, as with Whisper "
        "tiny, the ratio cannot fall below that of the steps above."),
        "",
        *table(
            (
                "cell", "runs", "steps: script, ours", "mean test accuracy: script, ours", "script, s",
                "this project, s", "ratio", "target",
            ),
            [*rows, (*total, met)],
        ),
    ]  # fmt: skip
