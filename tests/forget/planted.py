"""Planted cases for the verdict: models of which it is known whether they still hold D_f.

Each case trains small networks on outputs of the packaged Whisper nano's encoder for synthetic speech, until they know
their training recordings by heart. Run as a script it prints the table: `python tests/forget/planted.py [CASES]`.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from orchestrator.evidence.removal import EXIT_CODES, Decision, decide
from orchestrator.forget.comparing import Sides, comparisons

KINDS = ("unchanged", "trained further on D_f", "other recordings removed", "too few recordings", "good removal")
CLIPS, CLASSES, TRAIN, FORGET, WIDTH = 960, 4, 480, 120, 192


@dataclass(frozen=True)
class Planted:
    """The outcome of a case."""

    kind: str
    request: str
    decision: Decision
    measurable: bool


def embeddings(cache: Path) -> tuple[torch.Tensor, np.ndarray]:
    """Return what the nano encoder says of each clip (N, width), and the number of its word (N,)."""
    from orchestrator import plugins
    from orchestrator.tasks.build import open_corpus

    corpus = open_corpus(plugins.load("tasks", "espeak_keywords", clips=CLIPS, speakers=12), cache)
    backbone = plugins.load("backbones", "whisper_nano")
    frontend, model = backbone.frontend(torch.device("cpu")), backbone.build(CLASSES).eval()
    found = []
    with torch.no_grad():
        for rows in np.array_split(np.arange(len(corpus)), 15):
            audio = torch.from_numpy(
                np.stack([corpus.audio(int(row))[:16000] for row in rows]).astype(np.float32) / 32768
            )
            features, _ = frontend(audio, torch.full((len(rows),), 16000))
            frames = model.stem(features)
            for layer in model.layers:
                frames = layer(frames, None)
            found.append(torch.cat([frames.mean(dim=1), frames.std(dim=1)], dim=1))
    vectors = torch.cat(found)
    return (vectors - vectors.mean(dim=0)) / vectors.std(dim=0), corpus.labels


def trained(x: torch.Tensor, y: torch.Tensor, seed: int, steps: int, start: nn.Module | None = None) -> nn.Module:
    """Train a network of one hidden layer, or train `start` further."""
    torch.manual_seed(seed)
    model = copy.deepcopy(start) or nn.Sequential(nn.Linear(WIDTH, 64), nn.ReLU(), nn.Linear(64, CLASSES))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model


def plant(kind: str, seed: int, x: torch.Tensor, words: np.ndarray) -> Planted:
    """Train the models of one case, attack the child by relearning, and return the verdict."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    classes = rng.permutation(12)[words] % CLASSES  # three random words are a class
    wrong = rng.random(len(words)) < rng.uniform(0, 0.2)
    labels = np.where(wrong, rng.integers(0, CLASSES, len(words)), classes)
    request, steps = ("ids", "class")[seed % 2], int(rng.integers(100, 400))
    order = rng.permutation(len(words))
    train, unheard = order[:TRAIN], order[TRAIN:]
    gone = int(rng.integers(CLASSES))
    if request == "class":
        forget = train[labels[train] == gone]
    else:
        forget = train[: int(rng.integers(5, 10)) if kind == "too few recordings" else FORGET]
    if kind == "too few recordings":
        forget, unheard = forget[:9], unheard if request == "ids" else unheard[labels[unheard] != gone]
    y = torch.from_numpy(labels)

    def fit(rows: np.ndarray, seed: int, steps: int, start: nn.Module | None = None) -> nn.Module:
        return trained(x[rows], y[rows], seed, steps, start)

    original = fit(train, seed, steps)
    retain = np.setdiff1d(train, forget)
    if kind == "unchanged":
        child = copy.deepcopy(original)
        if seed % 4 >= 2:  # as good as unchanged
            with torch.no_grad():
                for weight in child.parameters():
                    weight.add_(1e-3 * weight.abs().mean() * torch.randn_like(weight))
    elif kind == "trained further on D_f":
        child = fit(forget, seed, 20, original)
    elif kind == "other recordings removed":
        others = rng.permutation(retain)[: len(forget)]
        child = fit(np.setdiff1d(train, others), seed + (seed % 4 >= 2), steps)
    else:
        child = fit(retain, seed + (seed % 4 >= 2), steps)
    shown = np.isin(forget, rng.permutation(forget)[: max(1, len(forget) // 5)])
    relearned = fit(np.concatenate([forget[shown], rng.permutation(retain)[:100]]), seed, 5, child)
    models = {"original": original, "child": child, "relearned": relearned}
    with torch.no_grad():
        logits = {n: tuple(m(x[rows]).double().numpy() for rows in (forget, unheard)) for n, m in models.items()}
    nobody = np.full(len(words), "")
    sides = Sides(
        forget_ids=forget.astype(str), unheard_ids=unheard.astype(str), forget_labels=labels[forget],
        unheard_labels=labels[unheard], forget_speakers=nobody[forget], unheard_speakers=nobody[unheard], logits=logits,
        relearned_on=shown, forgotten_class=gone if request == "class" else None,
    )  # fmt: skip
    found, unfair = comparisons(sides)
    measurable = not unfair and any(c.required and c.measurable for c in found)
    return Planted(kind, request, decide(found, unfair), measurable)


def table(cases: list[Planted]) -> str:
    """Return the counts of verdicts by kind as Markdown."""
    lines = ["| case | request | cases | measurable | " + " | ".join(EXIT_CODES) + " |", "|---|---|" + "---:|" * 5]
    for kind in KINDS:
        for request in ("ids", "class"):
            of = [case for case in cases if (case.kind, case.request) == (kind, request)]
            counts = Counter(case.decision.verdict for case in of)
            figures = [len(of), sum(case.measurable for case in of), *(counts[verdict] for verdict in EXIT_CODES)]
            lines.append(f"| {kind} | {request} | " + " | ".join(map(str, figures)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the table of as many cases as the first argument says, 335 by default."""
    torch.set_num_threads(1)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 335
    with tempfile.TemporaryDirectory() as cache:
        x, words = embeddings(Path(cache))
    print(table([plant(KINDS[number % len(KINDS)], number // len(KINDS), x, words) for number in range(count)]))


if __name__ == "__main__":
    main()
