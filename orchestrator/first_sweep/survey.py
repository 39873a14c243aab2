"""What is in the recordings: each is read once, as the task `audio_folder` reads it."""

from __future__ import annotations

import csv
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from orchestrator.first_sweep.layout import Layout
from orchestrator.tasks.audio_folder import AudioFolder
from orchestrator.tasks.base import SAMPLE_RATE_HZ, Utterance
from orchestrator.tasks.sources.found_files import shown
from orchestrator.tasks.sources.tables import Cell

SHOWN = 3  # names in a problem
UNEVEN = 10  # times as many recordings in the largest class as in the smallest
LONG_SECONDS = 10.0
SPREAD = 1.5  # longest recording over the 95th percentile, above which clips are cut

Watch = Callable[[Iterable[Utterance], int], Iterable[Utterance]]  # shows progress through a number of recordings


@dataclass(frozen=True)
class Survey:
    """The recordings that can be used, and what a person should know about them."""

    rows: list[dict[str, Cell]]  # of the manifest, each with its split
    basis: str  # what told the classes
    target: str  # keywords or speakers: what a class is
    classes: Counter[str]
    speakers: Counter[str]  # empty where they are not known
    splits: Counter[str]
    seconds: Sequence[float]
    rates_hz: Counter[int]
    problems: list[str]

    @property
    def clip_seconds(self) -> float | None:
        """The length to cut recordings to; None where they are alike and short."""
        usual, longest = float(np.percentile(self.seconds, 95)), max(self.seconds)
        if longest <= SPREAD * usual and longest <= LONG_SECONDS:
            return None
        return round(min(usual + 0.05, LONG_SECONDS), 1)


def survey(root: Path, layout: Layout, target: str, watch: Watch = lambda read, total: read) -> Survey:
    """Read all recordings, and draw the splits that the layout does not give, as the task draws them.

    Recordings that cannot be used are left out and named among the problems.

    Raises:
        ValueError: fewer than two classes, or too few recordings to train, validate and test on.
    """
    row_of = {shown(str(row["path"])): row for row in layout.rows}
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "manifest.csv"
        write_manifest(draft, layout.rows)
        task = AudioFolder(root=str(root), manifest=str(draft), target=target, on_bad_audio="skip")
        source = task.read()
        read = watch(source.utterances, len(row_of))
        found = [_Seen.of(one, root / str(row_of[one.utterance_id]["path"])) for one in read]
    splits = Counter(seen.split for seen in found)
    if empty := [name for name in ("train", "validation", "test") if not splits[name]]:
        raise ValueError(
            f"too few recordings: the {empty[0]} split of {len(found)} recordings is empty; "
            "about 10 recordings of each class are needed, or a column `split` in a manifest"
        )
    return Survey(
        rows=[_with_split(row_of[seen.utterance_id], seen.split) for seen in found],
        basis=layout.basis,
        target=target,
        classes=Counter(seen.label for seen in found),
        speakers=Counter(seen.speaker for seen in found if seen.speaker),
        splits=splits,
        seconds=[seen.seconds for seen in found],
        rates_hz=Counter(seen.rate_hz for seen in found),
        problems=list(_problems(found, source.skipped)),
    )


@dataclass(frozen=True)
class _Seen:
    utterance_id: str
    label: str
    speaker: str
    split: str
    seconds: float
    rate_hz: int
    digest: bytes  # of the samples

    @classmethod
    def of(cls, utterance: Utterance, path: Path) -> _Seen:
        import soundfile

        rate = int(soundfile.info(os.fsencode(path)).samplerate)
        return cls(
            utterance.utterance_id,
            utterance.label,
            utterance.speaker,
            utterance.split,
            len(utterance.audio) / SAMPLE_RATE_HZ,
            rate,
            sha256(utterance.audio.tobytes()).digest(),
        )


def _with_split(row: Mapping[str, Cell], split: str) -> dict[str, Cell]:
    """The row with its split, before any attributes."""
    first = {name: row[name] for name in ("path", "label", "speaker") if name in row}
    return {**first, "split": split, **{name: value for name, value in row.items() if name not in (*first, "split")}}


def _problems(found: Sequence[_Seen], skipped: Sequence[str]) -> Iterator[str]:
    if skipped:
        yield f"{len(skipped)} recordings are left out: {_some(skipped)}"
    classes = Counter(seen.label for seen in found)
    (most, largest), (least, smallest) = classes.most_common()[0], classes.most_common()[-1]
    if largest >= UNEVEN * smallest:
        yield f"classes differ in size: {most} has {largest} recordings, {least} has {smallest}"
    digests = Counter(seen.digest for seen in found)
    if twice := [seen.utterance_id for seen in found if digests[seen.digest] > 1]:
        yield f"{len(twice)} recordings have the same audio as another: {_some(twice)}"
    if slow := sorted({seen.rate_hz for seen in found if seen.rate_hz < SAMPLE_RATE_HZ}):
        rates = ", ".join(f"{rate} Hz" for rate in slow)
        yield f"recordings at {rates} are resampled to {SAMPLE_RATE_HZ} Hz, and have nothing above half their rate"


def _some(names: Sequence[str]) -> str:
    return "; ".join(names[:SHOWN]) + ("; …" if len(names) > SHOWN else "")


def write_manifest(path: Path, rows: Sequence[dict[str, Cell]]) -> None:
    """Write a CSV file that `audio_folder` reads."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
