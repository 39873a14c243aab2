"""What each saving saves in one training step: clip-length frames, stored features, stored teacher outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from cells import checkpoint_of_tiny
from clock import in_turns, table, verdict

from methods.engine.losses import cross_entropy, distillation_loss, label_loss
from orchestrator import plugins

BATCH = 16
CLASSES = 12
ONE_SECOND = 16_000


def batch_of(backbone: Any, size: int = BATCH, samples: int = ONE_SECOND) -> SimpleNamespace:
    """Noise of one second, as waveforms and as features."""
    waveforms, lengths = torch.randn(size, samples) * 0.1, torch.full((size,), samples)
    features, frames = backbone.frontend(torch.device("cpu"))(waveforms, lengths)
    labels = torch.arange(size) % CLASSES
    return SimpleNamespace(features=features, lengths=frames, labels=labels, waveforms=waveforms, samples=lengths)


def step(model: Any, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
    """Forward, backward, clipping and AdamW, as `methods.engine.loop` does them."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return run


def whisper_frames(checkpoint: str) -> tuple[Callable[[], None], Callable[[], None]]:
    sides = []
    for frames in ("full", "clip"):
        backbone = plugins.load("backbones", "whisper_tiny", checkpoint=checkpoint, whisper_frames=frames)
        model, batch = backbone.build(CLASSES), batch_of(backbone, 4)  # 30 s a clip is slow
        sides.append(step(model, lambda model=model, batch=batch: cross_entropy(model, batch)))
    return sides[0], sides[1]


def cached_features(name: str) -> tuple[Callable[[], None], Callable[[], None]]:
    backbone = plugins.load("backbones", name)
    model, batch, frontend = backbone.build(CLASSES), batch_of(backbone), backbone.frontend(torch.device("cpu"))

    def recomputed() -> torch.Tensor:
        with torch.no_grad():
            features, lengths = frontend(batch.waveforms, batch.samples)
        return label_loss(model(features, lengths), batch.labels)

    return step(model, recomputed), step(model, lambda: cross_entropy(model, batch))


def cached_teacher(checkpoint: str) -> tuple[Callable[[], None], Callable[[], None]]:
    backbone = plugins.load("backbones", "whisper_tiny", checkpoint=checkpoint)
    model, teacher, batch = backbone.build(CLASSES), backbone.build(CLASSES).eval(), batch_of(backbone)
    with torch.no_grad():
        stored = teacher(batch.features, batch.lengths)

    def taught(logits: Callable[[], torch.Tensor]) -> torch.Tensor:
        student = model(batch.features, batch.lengths)
        return label_loss(student, batch.labels) + 0.5 * distillation_loss(logits(), student, 4.0)

    def asked() -> torch.Tensor:
        with torch.no_grad():
            return teacher(batch.features, batch.lengths)

    return step(model, lambda: taught(asked)), step(model, lambda: taught(lambda: stored))


def report(scratch: Path) -> list[str]:
    """A table of the three savings."""
    checkpoint, _ = checkpoint_of_tiny(scratch)
    rows = []
    for name, sides, rounds, least in (
        ("Whisper tiny, 4 clips: padded to 30 s / clip-length frames", whisper_frames(checkpoint), 3, 30.0),
        ("wav2vec 2.0 nano: frozen CNN at every step / stored features", cached_features("wav2vec2_nano"), 15, None),
        ("Whisper nano: log-mel at every step / stored features", cached_features("whisper_nano"), 15, None),
        ("SCRUB min step, Whisper tiny: teacher at every step / stored logits", cached_teacher(checkpoint), 5, None),
    ):
        slow, fast = in_turns(*sides, rounds=rounds)
        ratio = slow.median / fast.median
        rows.append((name, slow, fast, f"{ratio:.2f}", verdict(ratio, least, at_most=False) if least else ""))
    return [
        "## One step with and without each saving",
        "",
        f"Clips of 1 s, {BATCH} per batch unless stated otherwise; ms, median (lowest–highest) of 3 to 15 rounds.",
        "",
        *table(("first / second", "first, ms", "second, ms", "ratio", "target"), rows),
    ]
