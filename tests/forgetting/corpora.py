"""Corpora as arrays, without audio, for the tests of forget sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from orchestrator.forgetting.sets import CorpusArrays, ForgetRequest

CLASSES = ("yes", "no", "up", "down", "_silence_", "_unknown_")


def keywords(count: int = 600, wrong: bool = False) -> CorpusArrays:
    rng = np.random.default_rng(1)
    true_labels = rng.choice(6, size=count, p=[0.15, 0.15, 0.15, 0.15, 0.05, 0.35])
    labels = true_labels.copy()
    if wrong:
        rows = rng.permutation(count)[: count // 20]
        labels[rows] = (labels[rows] + 1) % 6
    return CorpusArrays(
        labels=labels,
        true_labels=true_labels,
        speakers=np.where(true_labels == 4, "", rng.choice(["ann", "bob", "cem", "dai"], size=count)).astype(object),
        utterance_ids=np.array([f"u{number:04d}" for number in rng.permutation(count)], dtype=object),
        splits=rng.choice(["train", "validation", "test", "holdout"], size=count, p=[0.7, 0.1, 0.1, 0.1]).astype(
            object
        ),
        classes=CLASSES,
        kind="keywords",
        unforgettable=("_unknown_", "_silence_"),
    )


def people(num_speakers: int = 40) -> CorpusArrays:
    labels = np.repeat(np.arange(num_speakers), 10)
    names = tuple(f"id{10001 + label}" for label in range(num_speakers))
    return CorpusArrays(
        labels=labels,
        true_labels=labels,
        speakers=np.array([names[label] for label in labels], dtype=object),
        utterance_ids=np.array([f"u{row}" for row in range(len(labels))], dtype=object),
        splits=np.array((["train"] * 8 + ["validation", "test"]) * num_speakers, dtype=object),
        classes=names,
        kind="speakers",
    )


def indexed(tmp_path: Path, text: str, **settings: object) -> ForgetRequest:
    (tmp_path / "indices.txt").write_text(text)
    path = str(tmp_path / "indices.txt")
    return ForgetRequest(rule="index_file", index_file=path, **{"forget_ratio": 0.1, **settings})  # type: ignore[arg-type]
