"""A toy corpus; and as a script, `toy_builder.py FOLDER BUILDERS FATE`, one of several processes that ask for it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from orchestrator.tasks.base import CorpusSize, Source, Task, Utterance
from orchestrator.tasks.build import open_corpus

PER_CLASS = {"train": 40, "validation": 10, "test": 10}


def toy_utterances(classes: Sequence[str]) -> Iterator[Utterance]:
    """Of different lengths, the number of each in its first sample."""
    plan = [(split, name) for split, count in PER_CLASS.items() for name in classes for _ in range(count)]
    for number, (split, name) in enumerate(plan):
        audio = np.full(100 + number % 7, number, dtype=np.int16)
        attributes: dict[str, str | float | None] = {"snr_db": 0.5 * number}
        if number % 2:
            attributes["accent"] = f"accent {number % 3}"
        yield Utterance(f"u{number}", audio, name, f"s{number % 5}", split, attributes)


@dataclass(frozen=True, kw_only=True)
class ToyTask(Task):
    label: ClassVar[str] = "Toy"
    version: ClassVar[int] = 1

    folder: Path = field(default=Path(), metadata={"identity": False})  # where builders meet
    builders: int = field(default=0, metadata={"identity": False})  # a builder waits until so many have come
    killed: bool = field(default=False, metadata={"identity": False})  # half-way

    @property
    def kind(self) -> Literal["keywords", "speakers"]:
        return "keywords"

    def content(self) -> Mapping[str, Any]:
        return {}

    def expected_size(self) -> CorpusSize:
        return CorpusSize(3 * sum(PER_CLASS.values()), 0.006, 3)

    def read(self) -> Source:
        classes = ("yes", "no", "up")

        def utterances() -> Iterator[Utterance]:
            (self.folder / f"built-by-{os.getpid()}").touch()
            for number, utterance in enumerate(toy_utterances(classes)):
                if self.killed and number == 50:
                    os.kill(os.getpid(), signal.SIGKILL)
                while len(list(self.folder.glob("came-*"))) < self.builders:
                    time.sleep(0.01)
                yield utterance

        return Source(classes, utterances())


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / f"came-{os.getpid()}").touch()
    corpus = open_corpus(ToyTask(folder=folder, builders=int(sys.argv[2]), killed=sys.argv[3] == "killed"), folder)
    print(len(corpus), corpus.path.name, int(corpus.audio(77)[0]))
