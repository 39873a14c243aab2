"""A training step compared with what a user would do instead: `trainer_baseline.py` on Hugging Face's `Trainer`.

Both sides have the same clips of the same length, the same D_f, batch size, epochs and initial weights, and one thread.
Whole sweeps are in `sweeps_against_trainer.py`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import trainer_baseline
from cells import METHODS, NANO_FAMILIES, Cell, nano, untrained_original, whisper_tiny
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
BATCH = 32
TEACHERS = {"random_label": 0, "salun": 0, "scrub": 1, "bad_teacher": 2}
MOST_OF_A_STEP = {1: 0.75, 2: 0.65}  # by number of teachers


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
    problem = make_problem(spec, context, corpus, bank, parts, training, BudgetMeter(), context.max_micro_batch(spec))
    loop = LoopSettings(**_loop(spec), micro_batch=context.max_micro_batch(spec))
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
            found, own_round = theirs(), next(ours)
            if number:
                script_seconds += found
                our_seconds += own_round
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
