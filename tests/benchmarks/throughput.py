"""The constants of `unlearn plan`'s estimates: what one CPU core does per second, by backbone, and fixed costs.

CPU seconds of this process with one thread, so that other processes on the machine disturb little.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from cells import KEYWORDS, checkpoint_of_tiny
from clock import table
from steps import CLASSES, ONE_SECOND, batch_of, step

from methods.engine.losses import cross_entropy
from orchestrator import plugins
from orchestrator.tasks.build import open_corpus

BATCH, ROUNDS = 16, 7
BACKBONES = ("logmel_cnn", "logmel_gru", "whisper_nano", "wav2vec2_nano", "hubert_nano", "whisper_tiny", "whisper_base")
CLIPS = (0.64, 1.0)  # seconds
CORPUS_CLIPS = 600


def cpu_seconds(work: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """CPU seconds of each round; a first one is not counted."""
    found = []
    for _ in range(rounds + 1):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return found[1:]


def spread(values: list[float], digits: int = 1) -> str:
    """Median, lowest and highest."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def steps(name: str, clip_seconds: float, **settings: Any) -> tuple[str, ...]:
    """GFLOP/s of training steps, and what a forward pass and the frontend take of a step."""
    backbone = plugins.load("backbones", name, **settings)
    model, batch = backbone.build(CLASSES), batch_of(backbone, BATCH, int(clip_seconds * ONE_SECOND))
    frontend, gflop = backbone.frontend(torch.device("cpu")), BATCH * backbone.train_gflop(clip_seconds)

    def forward() -> None:
        with torch.no_grad():
            model(batch.features, batch.lengths)

    trained = cpu_seconds(step(model, lambda: cross_entropy(model, batch)))
    looked = cpu_seconds(forward, 5)
    prepared = cpu_seconds(lambda: frontend(batch.waveforms, batch.samples), 5)
    whole = statistics.median(trained)
    return (
        name,
        f"{clip_seconds:g}",
        spread([1e3 * seconds / BATCH for seconds in trained], 2),
        spread([gflop / seconds for seconds in trained]),
        f"{backbone.cpu_gflops():.0f}",
        f"{statistics.median(looked) / whole:.2f}",
        f"{statistics.median(prepared) / whole:.2f}",
    )


def corpus_ms(scratch: Path) -> str:
    """Milliseconds to synthesize one utterance, and store it."""
    settings = {name: value for name, value in KEYWORDS.items() if name != "name"}
    task = plugins.load("tasks", str(KEYWORDS["name"]), **{**settings, "clips": CORPUS_CLIPS})
    began = time.process_time()
    open_corpus(task, scratch / "corpora")
    return f"{1e3 * (time.process_time() - began) / CORPUS_CLIPS:.1f}"


def report(scratch: Path) -> list[str]:
    """Tables of the constants, measured against those in the code."""
    load, (checkpoint, weights) = os.getloadavg()[0], checkpoint_of_tiny(scratch)
    base = Path(checkpoint).parent / "whisper-base"
    settings = {"whisper_tiny": {"checkpoint": checkpoint}, "whisper_base": {"checkpoint": str(base)}}
    rows = [
        steps(name, seconds, **settings.get(name, {}))
        for name in BACKBONES
        if name != "whisper_base" or base.is_dir()
        for seconds in CLIPS
    ]
    return [
        "## What the estimates of `unlearn plan` assume",
        "",
        (
            f"One thread, batches of {BATCH} clips, {ROUNDS} steps each, CPU seconds: median (lowest–highest). Whisper "
            f"tiny has {weights} weights. The forward pass and the frontend are shares of a training step. The load "
            f"average at the start was {load:.1f} on {os.cpu_count()} cores; the assumed rates are between those of an "
            "idle machine and of a busy one, whose cores share caches."
        ),
        "",
        *table(
            ("backbone", "clip, s", "ms per clip", "GFLOP/s", "assumed GFLOP/s", "forward", "frontend"),
            rows,
        ),
        "",
        f"Synthesizing one utterance with eSpeak took {corpus_ms(scratch)} ms ({CORPUS_CLIPS} utterances).",
    ]
