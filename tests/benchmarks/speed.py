"""`make bench`: what each saving saves, as ratios measured in one run; written to docs/results.

Times are medians over rounds in which the two sides take turns, on one thread; Whisper's weights are random.
"""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch

from methods.losses import cross_entropy, distillation_loss, label_loss
from orchestrator import plugins
from orchestrator.plan.grid import build_grid
from orchestrator.plan.sweep import Sweep
from orchestrator.run.board import Board

ROUNDS = 5
BATCH = 16
CLIP_SAMPLES = 16_000
OUT = Path(__file__).parents[2] / "docs" / "results" / "bench.md"


def side_by_side(slow: Callable[[], object], fast: Callable[[], object], rounds: int = ROUNDS) -> tuple[float, float]:
    """Median seconds of each, taking turns; the first round of each is not counted."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for side, work in enumerate((slow, fast)):
            started = time.perf_counter()
            work()
            if number:
                times[side].append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


def tiny_whisper(folder: Path) -> str:
    """A Whisper encoder of the size of `tiny` with random weights, as a local folder."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForAudioClassification

    config = WhisperConfig(
        d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536, decoder_layers=1
    )
    WhisperForAudioClassification(config).save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return str(folder)


def batch_of(backbone, seconds: float = 1.0) -> SimpleNamespace:
    samples = int(seconds * CLIP_SAMPLES)
    waveforms, lengths = torch.randn(BATCH, samples) * 0.1, torch.full((BATCH,), samples)
    features, frames = backbone.frontend(torch.device("cpu"))(waveforms, lengths)
    return SimpleNamespace(
        features=features, lengths=frames, labels=torch.arange(BATCH) % 12, waveforms=waveforms, samples=lengths
    )


def step(model, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().mean().backward()
        optimizer.step()

    return run


def whisper_frames(folder: Path) -> tuple[str, float, float]:
    """One training step of Whisper tiny on 1-s clips: padded to 30 s, and on clip-length frames."""
    steps = []
    for frames in ("full", "clip"):
        backbone = plugins.load("backbones", "whisper_tiny", checkpoint=str(folder), whisper_frames=frames)
        model, batch = backbone.build(12), batch_of(backbone)
        steps.append(step(model, lambda model=model, batch=batch: cross_entropy(model, batch)))
    return "Whisper tiny step: 30-s frames / clip-length frames", *side_by_side(*steps, rounds=2)


def cached_features(folder: Path) -> tuple[str, float, float]:
    """One step of a wav2vec 2.0 nano: the frozen CNN at every step, and its stored output."""
    backbone = plugins.load("backbones", "wav2vec2_nano")
    model, batch, frontend = backbone.build(12), batch_of(backbone), backbone.frontend(torch.device("cpu"))

    def recomputed() -> torch.Tensor:
        with torch.no_grad():
            features, lengths = frontend(batch.waveforms, batch.samples)
        return label_loss(model(features, lengths), batch.labels)

    sides = step(model, recomputed), step(model, lambda: cross_entropy(model, batch))
    return "wav2vec 2.0 nano step: frontend at every step / stored features", *side_by_side(*sides, rounds=20)


def cached_teacher(folder: Path) -> tuple[str, float, float]:
    """SCRUB's min step on Whisper tiny: a teacher's forward at every step, and stored logits."""
    backbone = plugins.load("backbones", "whisper_tiny", checkpoint=str(folder))
    model, teacher, batch = backbone.build(12), backbone.build(12).eval(), batch_of(backbone)
    with torch.no_grad():
        stored = teacher(batch.features, batch.lengths)

    def taught(logits: Callable[[], torch.Tensor]) -> torch.Tensor:
        student = model(batch.features, batch.lengths)
        return label_loss(student, batch.labels) + 0.5 * distillation_loss(logits(), student, 4.0)

    def asked() -> torch.Tensor:
        with torch.no_grad():
            return teacher(batch.features, batch.lengths)

    sides = step(model, lambda: taught(asked)), step(model, lambda: taught(lambda: stored))
    return "SCRUB min step, Whisper tiny: teacher at every step / stored logits", *side_by_side(*sides)


def planning() -> tuple[str, float]:
    """Milliseconds a trial to plan the grid and to walk it through the board."""
    sweep = Sweep.model_validate(
        {
            "name": "bench", "tasks": ["espeak_keywords"], "backbones": ["logmel_cnn"], "seeds": list(range(40)),
            "unlearning": [{"kind": "sample", "forget_ratio": [0.01 * n for n in range(1, 11)]}],
            "methods": ["original", "retrain", "grad_ascent", "random_label", "salun", "scrub", "bad_teacher"],
        }
    )  # fmt: skip
    started = time.perf_counter()
    trials = build_grid(sweep).trials
    board = Board(trials, {}, {})
    while (spec := board.take()) is not None:
        board.settle(spec.trial_id, "done")
    return f"planning and scheduling, of {len(trials)} trials", 1e3 * (time.perf_counter() - started) / len(trials)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(tiny_whisper(Path(scratch)))
        found = [measure(folder) for measure in (whisper_frames, cached_features, cached_teacher)]
    what, milliseconds = planning()
    lines = [
        "# Speed",
        "",
        f"`make bench` on {platform.machine()}, one thread, torch {torch.__version__}; medians of rounds in which the",
        f"two sides take turns; batch {BATCH} of 1-s clips.",
        "",
        "| what is compared | first, ms | second, ms | ratio |",
        "|---|---|---|---|",
        *(f"| {name} | {1e3 * slow:.1f} | {1e3 * fast:.1f} | {slow / fast:.2f} |" for name, slow, fast in found),
        "",
        f"Driver: {milliseconds:.2f} ms a trial for {what}.",
        "",
    ]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("\n".join(lines))
    sys.stdout.write("\n".join(lines))


if __name__ == "__main__":
    main()
