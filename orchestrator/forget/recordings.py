"""The training manifest of a model: which recordings it was trained on, and which it never saw."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.forget.kinds import NORMALIZER
from orchestrator.tasks.base import NO_CLASSES, SPLITS
from orchestrator.tasks.normalizers import normalized
from orchestrator.tasks.sources.audio_files import BadRecordingError, read_audio
from orchestrator.tasks.sources.tables import read_table, text

SHOWN = 5  # names in a message


@dataclass(frozen=True)
class Recordings:
    """Rows of a manifest, in its order. A row's number is the key of its recording everywhere."""

    manifest: Path
    ids: npt.NDArray[np.str_]  # (N,), unique
    paths: tuple[Path, ...]
    labels: npt.NDArray[np.int64]  # (N,) places in the model's classes
    speakers: npt.NDArray[np.str_]  # (N,); empty texts where the manifest does not say
    splits: npt.NDArray[np.str_]  # (N,) train, validation, test or holdout
    texts: npt.NDArray[np.str_] | None = None  # (N,) normalized transcripts, of a recognizer's manifest
    canaries: npt.NDArray[np.str_] | None = None  # (N,) names of planted secrets, empty elsewhere

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def has_speakers(self) -> bool:
        """Whether every recording names its speaker."""
        return bool((self.speakers != "").all())

    def rows(self, *splits: str) -> npt.NDArray[np.int64]:
        """Return the rows of these splits, ascending."""
        return np.flatnonzero(np.isin(self.splits, splits))

    def clips(self) -> Iterator[npt.NDArray[np.int16]]:
        """Yield the audio of all recordings, 16 kHz mono, as training reads it.

        Raises:
            ValueError: a recording cannot be read; the message names its row.
        """
        for row, path in enumerate(self.paths):
            try:
                yield read_audio(path)
            except BadRecordingError as error:
                raise ValueError(
                    f"{self.manifest.name} row {row + 1}: {error} ({path}). Restore the file, or remove the row"
                ) from None

    @cached_property
    def digests(self) -> npt.NDArray[np.str_]:
        """(N,) SHA-256 of each recording's samples: equal audio has equal digests whatever its file."""
        return np.array([hashlib.sha256(clip.tobytes()).hexdigest() for clip in self.clips()])

    def at(self, rows: npt.NDArray[np.int64]) -> Recordings:
        """Return these rows alone, in this order."""
        names = ("ids", "labels", "speakers", "splits", "texts", "canaries")
        columns: dict[str, Any] = {
            name: None if (column := getattr(self, name)) is None else column[rows] for name in names
        }
        return replace(self, paths=tuple(self.paths[row] for row in rows), **columns)

    def also_under(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return other rows whose audio equals that of one of these rows."""
        same = np.isin(self.digests, self.digests[rows])
        same[rows] = False
        return np.flatnonzero(same)


def read_manifest(
    manifest: Path,
    classes: tuple[str, ...] | None,
    root: Path | None = None,
    *,
    missing_allowed: bool = False,
    may_miss: Callable[[str], bool] = lambda name: False,
) -> Recordings:
    """Read a CSV, TSV or Parquet file with `path` and `label`, and optionally `id`, `speaker` and `split`.

    A recognizer's has `text` in place of `label`: what is said, which is normalized; and optionally `canary`, the name
    of a planted secret.

    Paths are relative to `root`, by default the manifest's folder, or absolute. Without `id` the path is the id. The
    split says what the model was trained on (`train`) and what it never saw (`validation`, `test`, `holdout`). A row
    without a split is `train`. Half of the unheard recordings are used to choose, and half to judge, where the manifest
    has only `validation` or only `test`.

    With `missing_allowed`, files may be missing, and splits are those of the manifest. Rows whose id `may_miss` accepts
    are left out if their file is missing. `classes` are those of the model, or `NO_CLASSES` of a recognizer; None takes
    what the manifest has.

    Raises:
        ValueError: a column, path, label or split is missing or unknown, an id is given twice, a file is missing, or
            no recording was kept from training, or too few to share.
    """
    if not manifest.is_file():
        raise ValueError(
            f"There is no manifest {manifest}. Name a CSV, TSV or Parquet file with columns path and label"
        )
    table, folder = read_table(manifest), root or manifest.parent
    said = classes == NO_CLASSES or (classes is None and "label" not in table.columns and "text" in table.columns)
    for column in ("path", "text" if said else "label"):
        table.require(column)
    if not table.rows:
        raise ValueError(f"{manifest} lists no recordings")
    if said:
        classes = NO_CLASSES
    classes = tuple(sorted({text(cells["label"]) for cells in table.rows})) if classes is None else classes
    number = {text(name): place for place, name in enumerate(classes)}
    columns: dict[str, list[str]] = {"id": [], "speaker": [], "split": [], "text": [], "canary": []}
    paths, labels = [], []
    for row, cells in enumerate(table.rows, start=1):
        place, path = f"{manifest.name} row {row}", text(cells["path"])
        if not path:
            raise ValueError(f"{place} has no path; give each recording its file")
        label, split = "" if said else text(cells["label"]), text(cells.get("split")) or "train"
        if label not in number:
            known = ", ".join(classes[:20]) + (", …" if len(classes) > 20 else "")
            raise ValueError(f"{place}: the model has no label {label!r}; its labels are {known}")
        if split not in SPLITS:
            raise ValueError(f"{place}: unknown split {split!r}; write {', '.join(SPLITS)}")
        paths.append(_found(folder, path))
        labels.append(number[label])
        for name, value in (
            ("id", text(cells.get("id")) or path),
            ("speaker", text(cells.get("speaker"))),
            ("split", split),
            ("text", normalized(NORMALIZER, text(cells["text"]), place) if said else ""),
            ("canary", text(cells.get("canary"))),
        ):
            columns[name].append(value)
    ids = np.array(columns["id"])
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{manifest} has an id twice: {values[counts > 1][0]!r}; ids must be unique")
    splits = np.array(columns["split"])
    texts, canaries = (np.array(columns[name]) if said else None for name in ("text", "canary"))
    speakers = np.array(columns["speaker"])
    made = Recordings(manifest, ids, tuple(paths), np.array(labels), speakers, splits, texts, canaries)
    if missing_allowed:
        return made
    is_there = np.array([path.is_file() for path in paths])
    missing = [str(paths[row]) for row in np.flatnonzero(~is_there) if not may_miss(str(ids[row]))]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(paths)} recordings of {manifest.name} are missing, such as "
            f"{', '.join(missing[:SHOWN])}; restore them, or name their folder with --root"
        )
    made = made.at(np.flatnonzero(is_there))
    splits = made.splits
    if not (splits == "train").any() or (splits == "train").all():
        what = "trained on" if not (splits == "train").any() else "kept from training"
        raise ValueError(
            f"{manifest} lists no recording that was {what}. Give it a column `split` with train, validation and test: "
            "what is left of memory can only be judged against speech that the model never saw"
        )
    return replace(made, splits=_with_both(made))


def _found(folder: Path, path: str) -> Path:
    """The file of a path, which a table has in Unicode's composed form, and a file system perhaps decomposed."""
    apart = folder / unicodedata.normalize("NFD", path)
    return apart if not (folder / path).is_file() and apart.is_file() else folder / path


def _with_both(recordings: Recordings) -> npt.NDArray[np.str_]:
    """Splits with speech to choose on and speech to judge on: where one is missing, it gets every second recording of
    the other, in the order of the manifest within each class and speaker; within each class if no speaker has two.

    Raises:
        ValueError: no class has two unheard recordings, so that there is nothing to share.
    """
    splits = recordings.splits.astype("<U10")
    there = np.isin(["validation", "test"], splits)
    if there.all() or (there[0] and "holdout" in splits):
        return splits
    new, unheard = "validation" if not there[0] else "test", np.flatnonzero(splits != "train")
    for speakers in (recordings.speakers, np.zeros(len(splits), dtype=int)):
        taken: dict[tuple[int, str], int] = {}
        for row in unheard:
            group = int(recordings.labels[row]), str(speakers[row])
            taken[group] = taken.get(group, 0) + 1
            if taken[group] % 2 == 0:
                splits[row] = new
        if new in splits:
            return splits
    raise ValueError(
        f"{recordings.manifest} has {len(unheard)} recordings that were kept from training, and no two of one class: "
        "half of them are needed to choose, and half to judge. Keep more from training, as validation and test"
    )
