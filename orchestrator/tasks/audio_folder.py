"""Your own recordings as a corpus: listed by a manifest, by a pattern of file names, or by class folders.

The Free Spoken Digit Dataset (Jackson et al., github.com/Jakobovski/free-spoken-digit-dataset) with its own test takes:
`{name: audio_folder, root: recordings, pattern: '(?P<digit>\\d)_(?P<speaker>[a-z]+)_(?P<take>\\d+)', label_from: digit,
test_where: {take: [0, 1, 2, 3, 4]}}`; with `target: speakers` its six speakers are the classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from orchestrator.digests import sha256_of
from orchestrator.tasks.base import SAMPLE_RATE_HZ, SPLITS, CorpusSize, Source, Task, plain_id
from orchestrator.tasks.sources import audio_files, found_files
from orchestrator.tasks.sources.archives import is_archive, unpacked
from orchestrator.tasks.sources.audio_files import Recording
from orchestrator.tasks.sources.coverage import require_trained, still_trained
from orchestrator.tasks.sources.manifest import Listed, Listing, from_folders, from_manifest, from_names
from orchestrator.tasks.sources.splits import require_share, stratified_share
from orchestrator.tasks.sources.tables import Cell, class_name, matches, read_table, text

SHOWN = 10  # values of a column in a message
RESERVED = {"utterance_id", "label", "true_label", "speaker", "split", "audio"}  # columns that a corpus fills itself


@dataclass(frozen=True, kw_only=True)
class AudioFolder(Task):
    """Recordings below `root`: rows of `manifest`, or names that match `pattern`, or else `root/<class>/…`.

    `root` is a folder, or a tar or zip archive of one. `manifest` (CSV, TSV or Parquet, inside root or absolute) has a
    column `path`, relative to root or absolute and inside it, and may have `split`; `pattern` is a regular expression
    that fits a file's stem or, if it has a slash, its relative path. `label_from` and `speaker_from` name the column or
    group that holds keyword and speaker; all others become attributes, as do the columns of `speaker_table` (a table
    with a column `speaker`).
    """

    label: ClassVar[str] = "audio folder"
    version: ClassVar[int] = 2

    root: str = field(metadata={"identity": False})
    target: str = "keywords"  # or speakers: what a class is
    manifest: str | None = field(default=None, metadata={"identity": False})
    pattern: str | None = None
    label_from: str = "label"
    speaker_from: str = "speaker"
    speaker_table: str | None = field(default=None, metadata={"identity": False})
    classes: Sequence[str] | None = None  # in this order; None: all there are, sorted
    unknown_label: str | None = None  # class of the labels outside `classes`, which are refused without it
    where: Mapping[str, Any] | None = None  # recordings to take, as {column: value or list of values}; None: all
    test_where: Mapping[str, Any] | None = None  # test recordings, as {column: value or list of values}
    test_share: float = 0.1  # of each class, where neither the manifest nor `test_where` says
    validation_share: float = 0.1  # of what is left of each class, where the manifest names none
    seed: int = 0  # of the drawn splits
    max_seconds: float | None = None  # of a recording are kept at most, the first ones
    min_clips_per_class: int = 2  # in train
    on_bad_audio: str = "error"  # or skip: leave bad recordings out, and list them in the corpus

    def __post_init__(self) -> None:
        super().__post_init__()
        audio_files.require_choice("target", self.target, ("keywords", "speakers"))
        audio_files.require_choice("on_bad_audio", self.on_bad_audio, audio_files.ON_BAD_AUDIO)
        require_share("test_share", self.test_share)
        require_share("validation_share", self.validation_share)
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise ValueError(f"max_seconds must be positive, got {self.max_seconds}")
        if self.manifest and self.pattern:
            raise ValueError(
                "two ways to list recordings: got manifest and pattern, allowed: one, or neither for folders"
            )
        if self.classes:
            object.__setattr__(self, "classes", tuple(map(class_name, self.classes)))
        if self.unknown_label and not self.classes:
            raise ValueError(
                "unknown_label stands for labels outside `classes`: got no classes, allowed: a list of them"
            )

    def settings(self) -> dict[str, Any]:
        """The order in which `where` and `test_where` list values does not matter."""
        found = super().settings()
        for name in ("where", "test_where"):
            wanted = {column: v if isinstance(v, list | tuple) else [v] for column, v in (found[name] or {}).items()}
            found[name] = {column: sorted({text(value) for value in values}) for column, values in wanted.items()}
        return found

    @property
    def kind(self) -> Literal["keywords", "speakers"]:
        """As `target` says."""
        return "speakers" if self.target == "speakers" else "keywords"

    @property
    def unforgettable(self) -> tuple[str, ...]:
        """`unknown_label`, and the names that keyword corpora reserve."""
        return (*super().unforgettable, *([self.unknown_label] if self.unknown_label else []))

    def expected_size(self) -> CorpusSize:
        """From the listing, as if files were 16-bit mono at 16 kHz; nothing where the files are not here."""
        try:
            listed = [item for item in self._listed if matches(item.columns, self.where)]
            labels = {text(item.columns.get(self._class_column)) for item in listed}
        except FileNotFoundError:
            return CorpusSize(0, self.max_seconds or 0.0, len(self.classes or ()))
        num_bytes = found_files.total_bytes(self._root / item.path for item in listed)
        seconds = num_bytes / max(1, len(listed)) / (2 * SAMPLE_RATE_HZ)
        return CorpusSize(len(listed), min(seconds, self.max_seconds or seconds), len(self.classes or labels - {""}))

    def content(self) -> Mapping[str, Any]:
        """Digest of names and bytes of the listed files, and of the bytes of manifest and speaker table."""
        return self._content

    @cached_property
    def _content(self) -> dict[str, Any]:
        tables = {"manifest": self.manifest, "speaker_table": self.speaker_table}
        digests = {name: sha256_of(self._table(path)) for name, path in tables.items() if path}
        return {**found_files.digest_of_files(self._files), **digests}

    @property
    def _files(self) -> dict[str, Path]:
        return {item.utterance_id: self._root / item.path for item in self._listed}

    @cached_property
    def _root(self) -> Path:
        root = Path(self.root).expanduser().absolute()
        return unpacked(root) if is_archive(root) else audio_files.require_folder(root, "audio folder")

    def _table(self, path: str) -> Path:
        file = self._root / Path(path).expanduser()
        if not file.is_file():
            raise FileNotFoundError(f"table not found: got {file}, allowed: a path relative to root, or absolute")
        return file

    @cached_property
    def _found(self) -> found_files.Found:
        return found_files.find_audio(self._root) if not self.manifest else found_files.Found(())

    @cached_property
    def _listed(self) -> list[Listed]:
        if self.manifest:
            listing = from_manifest(self._table(self.manifest), self._root)
        elif self.pattern:
            listing = from_names(self._found.names, self.pattern)
        else:
            listing = from_folders(self._found.names, self._class_column)
        if not listing.recordings:
            suffixes, defects = ", ".join(found_files.SUFFIXES), "; ".join(self._found.defects())
            raise FileNotFoundError(
                f"no recordings: got root {self._root} without any, allowed: files with {suffixes}"
                + (f" listed in {self.manifest}" if self.manifest else "")
                + (f"; {defects}" if defects else "")
            )
        self._require_columns(listing)
        return listing.recordings

    def _require_columns(self, listing: Listing) -> None:
        listing.require(self._class_column, "speaker_from" if self.kind == "speakers" else "label_from")
        if self.speaker_from != "speaker" and (self.manifest or self.pattern):
            listing.require(self.speaker_from, "speaker_from")

    @property
    def _class_column(self) -> str:
        return self.speaker_from if self.kind == "speakers" else self.label_from

    @cached_property
    def _about_speakers(self) -> dict[str, dict[str, Cell]]:
        if not self.speaker_table:
            return {}
        table = read_table(self._table(self.speaker_table))
        table.require("speaker")
        about: dict[str, dict[str, Cell]] = {}
        for row in table.rows:
            speaker = text(row.pop("speaker"))
            if speaker in about:
                raise ValueError(f"{table.name} has two rows for one speaker: got {speaker!r}; keep one")
            about[speaker] = row
        return about

    def read(self) -> Source:
        """Recordings in the order of the manifest, or of their paths."""
        skipped: list[str] = []
        for defect in self._found.defects():
            audio_files.refuse_or_skip(defect, self._root, "", skipped, self.on_bad_audio)
        found = [r for item in self._listed if (r := self._recording(item, skipped))]
        taken = [r for r in found if self._fits(r, "where", self.where)]
        if not taken:
            raise ValueError(
                f"no recording is left: got where {self.where}, which fits none of {len(found)}"
                + self._values_of(found, self.where)
            )
        recordings = self._with_splits(taken)
        more = [self.unknown_label] if self.unknown_label and self.unknown_label not in (self.classes or ()) else []
        classes = (*self.classes, *more) if self.classes else tuple(sorted({r.label for r in recordings}))
        require_trained(classes, recordings, self.min_clips_per_class, skipped)
        audio = audio_files.utterances(recordings, skipped, self.on_bad_audio, self.max_seconds)
        notes = [f"links to folders that were read under another name are left out: {', '.join(self._found.links)}"]
        return Source(
            classes,
            still_trained(classes, audio, self.min_clips_per_class),
            skipped,
            notes if self._found.links else [],
        )

    def _recording(self, item: Listed, skipped: list[str]) -> Recording | None:
        path, columns = self._root / item.path, dict(item.columns)
        place = audio_files.place_of(path, item.where)
        label, speaker = text(columns.get(self._class_column)), text(columns.pop(self.speaker_from, None))
        defect = item.defect or ("" if label else f"no {self._class_column!r} is given")
        if defect:
            needed = f"a value of {self._class_column!r} for every recording"
            audio_files.refuse_or_skip(defect, path, item.where, skipped, self.on_bad_audio, needed)
            return None
        split = text(columns.pop("split", None))
        if split and split not in SPLITS:
            raise ValueError(f"unknown split of {place}: got {split!r}, allowed: {', '.join(SPLITS)}, or none anywhere")
        if self.kind == "keywords":
            del columns[self.label_from]
        elif "label" in columns:  # the word, which a corpus of speakers keeps as an attribute
            columns["keyword"] = columns.pop("label")
        columns.update(self._about_speakers.get(speaker, {}))
        if taken := sorted(RESERVED & columns.keys()):
            raise ValueError(f"reserved name of an attribute of {place}: got {', '.join(taken)}; rename it")
        if self.unknown_label:
            columns["word"] = label
        if self.classes and label not in self.classes:
            if not self.unknown_label:
                raise ValueError(
                    f"unknown label of {place}: got {label!r}, allowed: {', '.join(self.classes)}; "
                    "`unknown_label` names a class for all others"
                )
            label = self.unknown_label
        return Recording(path, item.utterance_id, label, speaker, split, columns, item.where)

    def _with_splits(self, recordings: list[Recording]) -> list[Recording]:
        """The splits that are given; what they leave open is drawn, in the same proportions in every class."""
        splits = np.array([r.split for r in recordings], dtype=object)
        given = splits != ""
        if given.any() and not given.all():
            first = recordings[int(np.argmin(given))]
            raise ValueError(
                f"split given for some recordings only: got none for {first.path} ({first.where or 'its name'})"
            )
        rng = np.random.default_rng(self.seed)
        kept = np.isin([plain_id(r.utterance_id) for r in recordings], self.keep_in_train)
        if not given.any():
            test = (
                [self._fits(r, "test_where", self.test_where) for r in recordings]
                if self.test_where
                else _draw(recordings, ~kept, self.test_share, rng)
            )
            if not np.any(test) and self.test_where:
                raise ValueError(
                    f"the test split is empty: got test_where {self.test_where}, which fits none of {len(recordings)}"
                    + self._values_of(recordings, self.test_where)
                )
            splits = np.where(np.asarray(test, dtype=bool), "test", "train").astype(object)
        if not np.any(splits == "validation"):
            splits[_draw(recordings, (splits == "train") & ~kept, self.validation_share, rng)] = "validation"
        return [replace(recording, split=str(split)) for recording, split in zip(recordings, splits, strict=True)]

    def _known(self, recording: Recording) -> dict[str, Cell]:
        return {**recording.attributes, self._class_column: recording.label, self.speaker_from: recording.speaker}

    def _fits(self, recording: Recording, setting: str, condition: Mapping[str, Any] | None) -> bool:
        known = self._known(recording)
        for column in condition or {}:
            if column not in known:
                raise ValueError(f"unknown column in {setting}: got {column!r}, allowed: {', '.join(sorted(known))}")
        return matches(known, condition)

    def _values_of(self, recordings: list[Recording], condition: Mapping[str, Any] | None) -> str:
        """What the columns of a condition that fits nothing have in them, for a message."""
        said = ""
        for column in condition or {}:
            values = sorted({text(self._known(r).get(column)) for r in recordings})
            more = ", …" if len(values) > SHOWN else ""
            said += f"; values of {column}: {', '.join(values[:SHOWN])}{more}"
        return said


def _draw(recordings: list[Recording], among: Any, share: float, rng: np.random.Generator) -> Any:
    """(N,) mask of `share` of the recordings of the mask `among`."""
    rows = np.flatnonzero(among)
    drawn = np.zeros(len(recordings), dtype=bool)
    labels, speakers = [recordings[row].label for row in rows], [recordings[row].speaker for row in rows]
    drawn[rows] = stratified_share(labels, speakers, share, rng)
    return drawn


TASKS = {"audio_folder": AudioFolder}
