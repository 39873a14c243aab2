"""What a removal request names: listed recordings, a speaker, a class, or what is said: a word, a planted secret."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from orchestrator.forget.kinds import NORMALIZER
from orchestrator.forget.recordings import SHOWN, Recordings
from orchestrator.forgetting.spoken import containing
from orchestrator.tasks.normalizers import normalizer_of
from orchestrator.tasks.sources.tables import read_table, text

Kind = Literal["ids", "speaker", "class", "entity", "canary"]


@dataclass(frozen=True)
class Request:
    """A request as an operator gives it: exactly one of its fields."""

    ids_file: Path | None = None
    speaker: str | None = None
    label: str | None = None
    entity: str | None = None  # a word or phrase: all recordings whose transcript contains it
    canary: str | None = None  # a planted secret, by the manifest's column `canary`

    def __post_init__(self) -> None:
        given = [getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None]
        if len(given) != 1:
            raise ValueError(
                "Say what to forget in one way: --forget FILE, --speaker NAME or --class NAME, or of a recognizer "
                f"--entity WORDS or --canary NAME; got {len(given)}"
            )

    @property
    def kind(self) -> Kind:
        """What is named."""
        names: dict[str, Kind] = {
            "ids_file": "ids", "speaker": "speaker", "label": "class", "entity": "entity", "canary": "canary",
        }  # fmt: skip
        return next(kind for name, kind in names.items() if getattr(self, name) is not None)


@dataclass(frozen=True)
class Resolved:
    """A request found in a manifest."""

    kind: Kind
    rows: npt.NDArray[np.int64]  # D_f: of train, ascending
    never_trained: npt.NDArray[np.int64]  # named, and kept from training: nothing to forget there
    duplicates: npt.NDArray[np.int64]  # train rows that are not named and have the audio of any that is
    leaked: npt.NDArray[np.int64]  # rows that were kept from training, but whose audio was trained on: not unheard
    forgotten_class: int | None = None  # named by the request, or all of whose training recordings it names
    alike: npt.NDArray[np.bool_] | None = None  # (N,) which recordings say what the request names; None: other requests

    @property
    def everything(self) -> npt.NDArray[np.int64]:
        """D_f with its duplicates, ascending: what is unlearned."""
        return np.union1d(self.rows, self.duplicates)


def resolve(request: Request, recordings: Recordings, classes: tuple[str, ...]) -> Resolved:
    """Find what a request names. Train recordings with the same audio under other ids are found too, and are forgotten.

    Raises:
        ValueError: an unknown id, speaker or class, an empty request, one that names nothing of train, or all of it.
    """
    forgotten_class, alike = None, None
    if request.entity is not None or request.canary is not None:
        alike = _saying(request, recordings)
        named = np.flatnonzero(alike if request.entity is not None else _of_canary(str(request.canary), recordings))
    elif request.ids_file is not None:
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
        if recordings.texts is not None:
            raise ValueError("The model transcribes, and has no classes. Use --entity, --speaker or --forget")
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
    if forgotten_class is None and recordings.texts is None:
        forgotten_class = _whole_class(np.union1d(rows, duplicates), train, recordings)
    found = Resolved(request.kind, rows, never, duplicates, leaked, forgotten_class, alike)
    total = len(train)
    if len(found.everything) == total:
        raise ValueError(
            f"The request names all {total} recordings that the model was trained on. Delete the model instead"
        )
    return found


def _saying(request: Request, recordings: Recordings) -> npt.NDArray[np.bool_]:
    """Return which recordings say the entity, or any planted secret: those that others of D_f may be compared with.

    Raises:
        ValueError: the manifest has no transcripts or no canaries, or nothing is left of the entity.
    """
    if recordings.texts is None or recordings.canaries is None:
        raise ValueError(
            "The model classifies, and its manifest has no transcripts. Use --class, --speaker or --forget"
        )
    if request.entity is None:
        if not (recordings.canaries != "").any():
            raise ValueError(f"{recordings.manifest.name} names no canary. Give it a column `canary`, or use --forget")
        return np.asarray(recordings.canaries != "")
    wanted = normalizer_of(NORMALIZER)(request.entity)
    found = containing(recordings.texts.tolist(), wanted) if wanted else np.zeros(len(recordings), dtype=bool)
    if not found.any():
        raise ValueError(f"No transcript of {recordings.manifest.name} contains {request.entity!r}; check the words")
    return found


def _of_canary(name: str, recordings: Recordings) -> npt.NDArray[np.bool_]:
    assert recordings.canaries is not None
    known = sorted(set(recordings.canaries.tolist()) - {""})
    if text(name) not in known:
        shown = ", ".join(known[:SHOWN]) + (", …" if len(known) > SHOWN else "")
        raise ValueError(f"{recordings.manifest.name} has no canary {name!r}; it has {shown}")
    return np.asarray(recordings.canaries == text(name))


def asked_of(request: Request) -> str:
    """Return what a request asks for, as a text that is the same for the same request, whatever the manifest lists.

    Raises:
        ValueError: the file of ids cannot be read.
    """
    if request.ids_file is None:
        named = (request.speaker, request.label, request.entity, request.canary)
        return f"{request.kind}\n{next(value for value in named if value is not None)}"
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
    whole = None if recordings.texts is not None else _whole_class(found.everything, left, recordings)
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
