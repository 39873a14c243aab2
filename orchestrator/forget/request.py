"""What a removal request names: listed recordings, all recordings of a speaker, or a class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from orchestrator.forget.recordings import SHOWN, Recordings
from orchestrator.tasks.sources.tables import read_table, text

Kind = Literal["ids", "speaker", "class"]


@dataclass(frozen=True)
class Request:
    """A request as an operator gives it: exactly one of a file of ids, a speaker or a class."""

    ids_file: Path | None = None
    speaker: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.ids_file, self.speaker, self.label) if value is not None]
        if len(given) != 1:
            raise ValueError(
                f"Say what to forget in one way: --forget FILE, --speaker NAME or --class NAME; got {len(given)}"
            )

    @property
    def kind(self) -> Kind:
        """What is named."""
        return "ids" if self.ids_file is not None else "speaker" if self.speaker is not None else "class"


@dataclass(frozen=True)
class Resolved:
    """A request found in a manifest."""

    kind: Kind
    rows: npt.NDArray[np.int64]  # D_f: of train, ascending
    never_trained: npt.NDArray[np.int64]  # named, and kept from training: nothing to forget there
    duplicates: npt.NDArray[np.int64]  # train rows that are not named and have the audio of any that is
    leaked: npt.NDArray[np.int64]  # rows that were kept from training, but whose audio was trained on: not unheard
    forgotten_class: int | None = None  # named by the request, or all of whose training recordings it names

    @property
    def everything(self) -> npt.NDArray[np.int64]:
        """D_f with its duplicates, ascending: what is unlearned."""
        return np.union1d(self.rows, self.duplicates)


def resolve(request: Request, recordings: Recordings, classes: tuple[str, ...]) -> Resolved:
    """Find what a request names. Train recordings with the same audio under other ids are found too, and are forgotten.

    Raises:
        ValueError: an unknown id, speaker or class, an empty request, one that names nothing of train, or all of it.
    """
    forgotten_class = None
    if request.ids_file is not None:
        named = _listed(request.ids_file, recordings)
    elif request.speaker is not None:
        if not recordings.has_speakers:
            raise ValueError(
                f"{recordings.manifest.name} has no speaker for every row; a speaker cannot be found there"
            )
        named = np.flatnonzero(recordings.speakers == text(request.speaker))
        if not len(named):
            raise ValueError(
                f"No recording of {recordings.manifest.name} is of speaker {request.speaker!r}; check the name"
            )
    else:
        names = [text(name) for name in classes]
        if text(request.label) not in names:
            raise ValueError(f"The model has no class {request.label!r}; its classes are {', '.join(classes[:20])}")
        forgotten_class = names.index(text(request.label))
        named = np.flatnonzero(recordings.labels == forgotten_class)
    trained = recordings.splits[named] == "train"
    rows, never = np.sort(named[trained]), np.sort(named[~trained])
    others = recordings.also_under(named)
    duplicates = others[recordings.splits[others] == "train"]
    if not len(rows) and not len(duplicates):
        raise ValueError(
            f"The model was trained on none of the {len(named)} recordings that are named: their split is not train, "
            "so there is nothing to forget"
        )
    train = recordings.rows("train")
    leaked = np.setdiff1d(recordings.also_under(train), train)
    if forgotten_class is None:
        forgotten_class = _whole_class(np.union1d(rows, duplicates), train, recordings)
    found = Resolved(request.kind, rows, never, duplicates, leaked, forgotten_class)
    total = len(train)
    if len(found.everything) == total:
        raise ValueError(
            f"The request names all {total} recordings that the model was trained on. Delete the model instead"
        )
    return found


def asked_of(request: Request) -> str:
    """Return what a request asks for, as a text that is the same for the same request, whatever the manifest lists.

    Raises:
        ValueError: the file of ids cannot be read.
    """
    if request.ids_file is None:
        return f"{request.kind}\n{request.speaker if request.speaker is not None else request.label}"
    return "\n".join(["ids", *sorted(_names_in(request.ids_file))])


def without_earlier(resolved: Resolved, recordings: Recordings, before: npt.NDArray[np.int64]) -> Resolved:
    """Leave out of D_f what earlier requests removed; it counts as not trained on, and never as unheard.

    Raises:
        ValueError: earlier requests removed all of it, or nothing else is left of the training set.
    """
    rows, duplicates = (np.setdiff1d(part, before) for part in (resolved.rows, resolved.duplicates))
    if not len(rows) and not len(duplicates):
        raise ValueError(
            f"Earlier requests removed all {len(resolved.everything)} recordings that are named; check that output"
        )
    again = np.intersect1d(resolved.rows, before)
    found = replace(
        resolved,
        rows=rows,
        never_trained=np.union1d(resolved.never_trained, again),
        duplicates=duplicates,
        leaked=np.union1d(resolved.leaked, before[recordings.splits[before] != "train"]),
    )
    left = np.setdiff1d(recordings.rows("train"), before)
    if not len(np.setdiff1d(left, found.everything)):
        raise ValueError("With this request, nothing is left of the training set. Delete the model instead")
    whole = _whole_class(found.everything, left, recordings)
    return found if whole is None else replace(found, forgotten_class=whole)


def _whole_class(forget: npt.NDArray[np.int64], train: npt.NDArray[np.int64], recordings: Recordings) -> int | None:
    """Return the class that D_f is all of, as a speaker is where speakers are the classes; else None."""
    labels = np.unique(recordings.labels[forget])
    whole = len(labels) == 1 and np.isin(train[recordings.labels[train] == labels[0]], forget).all()
    return int(labels[0]) if whole else None


def _listed(file: Path, recordings: Recordings) -> npt.NDArray[np.int64]:
    """Rows of the ids that a file lists."""
    wanted = _names_in(file)
    place = {name: row for row, name in enumerate(recordings.ids.tolist())}
    unknown = [name for name in wanted if name not in place]
    if unknown:
        shown = ", ".join(unknown[:SHOWN]) + (", …" if len(unknown) > SHOWN else "")
        raise ValueError(
            f"{len(unknown)} of {len(wanted)} ids in {file.name} are not in {recordings.manifest.name}: {shown}. "
            "Correct them: a request with unknown ids is not served in part"
        )
    return np.array([place[name] for name in wanted], dtype=np.int64)


def _names_in(file: Path) -> list[str]:
    """The ids in a table with a column `id` (or of one column), or in a text file, one a line; each once."""
    if not file.is_file():
        raise ValueError(f"There is no file {file} with the ids to forget")
    if file.suffix.lower() in (".csv", ".tsv", ".parquet"):
        table = read_table(file)
        column = "id" if "id" in table.columns else "path" if "path" in table.columns else table.columns[0]
        wanted = [text(row[column]) for row in table.rows]
        if column not in ("id", "path"):
            wanted = [column, *wanted]  # a list without a header
    else:
        try:
            wanted = [text(line) for line in file.read_text(encoding="utf-8-sig").splitlines()]
        except UnicodeDecodeError as error:
            raise ValueError(f"cannot read {file}: {error}; save it as UTF-8") from None
    wanted = list(dict.fromkeys(name for name in wanted if name))
    if not wanted:
        raise ValueError(f"{file} lists no ids. Write one id a line")
    return wanted
