"""Gradients of each utterance's own loss: a batch at once against one utterance after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from cells import checkpoint_of_tiny
from clock import Times, in_turns, table, verdict
from steps import CLASSES, batch_of

from methods.base import Batch
from methods.engine.gradients import trainable
from methods.engine.losses import cross_entropy
from methods.engine.per_utterance import CHUNK, PerUtterance
from orchestrator import plugins

MOST = {"whisper_nano": 1 / 3, "wav2vec2_nano": 1 / 3, "hubert_nano": 1 / 3, "logmel_cnn": 1 / 3, "whisper_tiny": 1 / 2}
ROUNDS = 5


def _losses(model: Any, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
    found = cross_entropy(model, batch)[:, None]
    return found, torch.ones_like(found)


def sides(name: str, **settings: Any) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
    """For squares (SSD, Fisher) and products (IU): the loop and the batch at once, over the same utterances."""
    backbone = plugins.load("backbones", name, **settings)
    model = backbone.build(CLASSES).eval()
    made, rows = batch_of(backbone, CHUNK), torch.arange(CHUNK)
    batch = Batch(made.features, made.lengths, made.labels, rows < 0, rows)
    weights = trainable(model)
    vector = {key: torch.randn_like(p) for key, p in weights.items()}

    def squares(covered: bool | None) -> Callable[[], None]:
        gradients = PerUtterance(model, weights, covered=covered)
        return lambda: gradients.add_squares({k: torch.zeros_like(p) for k, p in weights.items()}, batch, _losses)

    def products(covered: bool | None) -> Callable[[], None]:
        gradients, zeros = (
            PerUtterance(model, weights, covered=covered),
            {k: torch.zeros_like(p) for k, p in weights.items()},
        )
        return lambda: gradients.add_products(zeros, vector, batch, _losses)

    return {"squares": (squares(False), squares(None)), "products": (products(False), products(None))}


def measured(scratch: Path) -> list[tuple[str, str, Times, Times]]:
    """Network, kind of sum, the loop's times and those of the batch at once."""
    checkpoint, _ = checkpoint_of_tiny(scratch)
    found = []
    for name in MOST:
        settings = {"checkpoint": checkpoint} if name == "whisper_tiny" else {}
        for kind, (loop, batched) in sides(name, **settings).items():
            found.append((name, kind, *in_turns(loop, batched, rounds=ROUNDS)))
    return found


def report(scratch: Path) -> list[str]:
    """A table of ratios."""
    rows = [
        (
            name,
            kind,
            loop,
            batched,
            f"{(ratio := batched.median / loop.median):.2f}",
            verdict(ratio, MOST[name], at_most=True),
        )
        for name, kind, loop, batched in measured(scratch)
    ]
    return [
        "## Gradients of each utterance",
        "",
        (
            f"{CHUNK} utterances of 1 s; squares as SSD and Fisher forgetting sum them, products as IU does; ms, "
            f"median (lowest–highest) of {ROUNDS} rounds."
        ),
        "",
        *table(("network", "sum", "one by one, ms", "at once, ms", "ratio", "target"), rows),
    ]
