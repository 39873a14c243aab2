"""Your own recordings as a corpus: listed by a manifest, by a pattern of file names, or by class folders.

The Free Spoken Digit Dataset (Jackson et al., github.com/Jakobovski/free-spoken-digit-dataset) with its own test takes:
`{name: audio_folder, root: recordings, pattern: '(?P<digit>\\d)_(?P<speaker>[a-z]+)_(?P<take>\\d+)', label_from: digit,
test_where: {take: [0, 1, 2, 3, 4]}}`; with `target: speakers` its six speakers are the classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

from orchestrator.digests import sha256_of
from orchestrator.tasks.base import NO_CLASSES, SAMPLE_RATE_HZ, SPLITS, CorpusSize, Kind, Source, Task
from orchestrator.tasks.sources import audio_files, found_files, spoken_texts, tables
from orchestrator.tasks.sources.archives import is_archive, unpacked
from orchestrator.tasks.sources.audio_files import Recording
from orchestrator.tasks.sources.coverage import require_trained, still_trained
from orchestrator.tasks.sources.given_splits import with_splits
from orchestrator.tasks.sources.manifest import Listed, Listing, from_folders, from_manifest, from_names
from orchestrator.tasks.sources.splits import require_share
from orchestrator.tasks.sources.tables import Cell, class_name, matches, read_table, rows_by, text, values_of
from orchestrator.tasks.transcripts import require_transcript_settings

TRANSCRIPT = "transcript"  # the column that text files next to recordings become
LABELED_BY = {"keywords": "label_from", "speakers": "speaker_from", "transcripts": "text_from"}
RESERVED = {"utterance_id", "label", "true_label", "speaker", "split", "audio"}  # columns that a corpus fills itself


@dataclass(frozen=True, kw_only=True)
class AudioFolder(Task):
    """Recordings below `root`: rows of `manifest`, or names that match `pattern`, or else `root/<class>/…`.

    With `target: transcripts`, `text_from` names the column or group of what is said or, as `.txt` or `.lab`, the
    suffix of a text file next to each recording; without a listing, recordings are in `root/<speaker>/…`.

    `root` is a folder, or a tar or zip archive of one. `manifest` (CSV, TSV or Parquet, inside root or absolute) has a
    column `path`, relative to root or absolute and inside it, and may have `split`; `pattern` is a regular expression
    that fits a file's stem or, if it has a slash, its relative path. `label_from` and `speaker_from` name the column or
    group that holds keyword and speaker; all others become attributes, as do the columns of `speaker_table` (a table
    with a column `speaker`).
    """

    label: ClassVar[str] = "audio folder"
    version: ClassVar[int] = 2
    read_by: ClassVar[tuple[str, ...]] = (
        "root", "manifest", "pattern", "target", "text_from", "label_from", "speaker_from", "speaker_table",
    )  # fmt: skip

    root: str = field(metadata={"identity": False})
    target: str = "keywords"  # or speakers: what a class is; or transcripts
    text_from: str | None = None  # transcripts: a column, or .txt or .lab for a file next to each recording
    normalizer: str = "english-1"  # of transcripts
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
        audio_files.require_choice("target", self.target, ("keywords", "speakers", "transcripts"))
        audio_files.require_choice("on_bad_audio", self.on_bad_audio, audio_files.ON_BAD_AUDIO)
        require_share("test_share", self.test_share)
        require_share("validation_share", self.validation_share)
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise ValueError(f"max_seconds must be positive, got {self.max_seconds}")
        self._require_target()
        tables.require_separate_columns({LABELED_BY[self.kind]: self._class_column, "speaker_from": self.speaker_from})
        if self.manifest and self.pattern:
            raise ValueError("two ways to list recordings: got manifest and pattern, allowed: one, or none for folders")
        if self.classes:
            object.__setattr__(self, "classes", tuple(map(class_name, self.classes)))
        if self.unknown_label and not self.classes:
            raise ValueError(
                "unknown_label stands for labels outside `classes`: got no classes, allowed: a list of them"
            )

    def _require_target(self) -> None:
        """Check that what belongs to transcripts, and what belongs to classes, is given for its target only."""
        told = self.target == "transcripts"
        if told != bool(self.text_from):
            raise ValueError(
                f"text_from belongs to target: transcripts, which needs it: got target {self.target!r} and text_from "
                f"{self.text_from!r}; name a column, or .txt or .lab for a file next to each recording"
            )
        if told:
            require_transcript_settings(self, self.normalizer)
        if told and (self.classes or self.unknown_label):
            raise ValueError("transcripts have no classes: got classes or unknown_label; remove them")

    def settings(self) -> dict[str, Any]:
        """The order in which `where` and `test_where` list values does not matter."""
        found = super().settings()
        if self.target != "transcripts":  # as before there were transcripts
            del found["text_from"], found["normalizer"]
        for name in ("where", "test_where"):
            wanted = {column: v if isinstance(v, list | tuple) else [v] for column, v in (found[name] or {}).items()}
            found[name] = {column: sorted({text(value) for value in values}) for column, values in wanted.items()}
        return found

    @property
    def kind(self) -> Kind:
        """As `target` says."""
        return cast(Kind, self.target)

    @property
    def text_normalizer(self) -> str | None:
        """As the setting says, for transcripts."""
        return self.normalizer if self.kind == "transcripts" else None

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
        classes = 1 if self.kind == "transcripts" else len(self.classes or labels - {""})
        return CorpusSize(len(listed), min(seconds, self.max_seconds or seconds), classes)

    def content(self) -> Mapping[str, Any]:
        """Digest of names and bytes of the listed files, and of the bytes of manifest and speaker table."""
        return self._content

    @cached_property
    def _content(self) -> dict[str, Any]:
        digests = {n: sha256_of(self._table(path)) for n in ("manifest", "speaker_table") if (path := getattr(self, n))}
        if suffix := self._text_suffix:
            digests["texts"] = spoken_texts.digest_of_text_files(self._listed, self._root, suffix)
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
        elif self.kind == "transcripts":
            listing = spoken_texts.from_speaker_folders(self._found.names, self.speaker_from)
        else:
            listing = from_folders(self._found.names, self._class_column)
        if self._text_suffix:
            listing = spoken_texts.with_text_files(listing, self._root, self._text_suffix, TRANSCRIPT)
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
        listing.require(self._class_column, LABELED_BY[self.kind])
        if self.speaker_from != "speaker" and (self.manifest or self.pattern):
            listing.require(self.speaker_from, "speaker_from")

    @property
    def _class_column(self) -> str:
        return TRANSCRIPT if self._text_suffix else str(getattr(self, LABELED_BY[self.kind]))

    @property
    def _text_suffix(self) -> str:
        """Of text files next to the recordings; empty where a column holds what is said."""
        return self.text_from if self.text_from and self.text_from.startswith(".") else ""

    @cached_property
    def _about_speakers(self) -> dict[str, dict[str, Cell]]:
        return rows_by(read_table(self._table(self.speaker_table)), "speaker") if self.speaker_table else {}

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
                + values_of(list(map(self._known, found)), self.where)
            )
        links = f"links to folders that were read under another name are left out: {', '.join(self._found.links)}"
        notes = [links] if self._found.links else []
        if self.kind == "transcripts":
            taken = spoken_texts.transcribable(taken, self.normalizer, self.max_seconds, skipped, self.on_bad_audio)
            audio = audio_files.utterances(self._with_splits(taken), skipped, self.on_bad_audio)
            return Source(NO_CLASSES, audio, skipped, notes)
        recordings = self._with_splits(taken)
        more = [self.unknown_label] if self.unknown_label and self.unknown_label not in (self.classes or ()) else []
        classes = (*self.classes, *more) if self.classes else tuple(sorted({r.label for r in recordings}))
        require_trained(classes, recordings, self.min_clips_per_class, skipped)
        audio = audio_files.utterances(recordings, skipped, self.on_bad_audio, self.max_seconds)
        return Source(classes, still_trained(classes, audio, self.min_clips_per_class), skipped, notes)

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
        if self.kind != "speakers":  # whose column is gone
            del columns[self._class_column]
        if self.kind != "keywords" and "label" in columns:  # the word, which other corpora keep as an attribute
            columns["keyword"] = columns.pop("label")
        columns.update(self._about_speakers.get(speaker, {}))
        if taken := sorted((RESERVED | ({"text"} if self.text_normalizer else set())) & columns.keys()):
            raise ValueError(f"reserved name of an attribute of {place}: got {', '.join(taken)}; rename it")
        if self.kind == "transcripts":
            return Recording(path, item.utterance_id, "", speaker, split, columns, item.where, transcript=label)
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
        """The splits that are given, else those of `test_where`, else drawn ones."""
        test = None
        if self.test_where and not any(r.split for r in recordings):
            test = [self._fits(r, "test_where", self.test_where) for r in recordings]
            if not any(test):
                raise ValueError(
                    f"the test split is empty: got test_where {self.test_where}, which fits none of {len(recordings)}"
                    + values_of(list(map(self._known, recordings)), self.test_where)
                )
        return with_splits(
            recordings,
            test,
            test_share=self.test_share,
            validation_share=self.validation_share,
            keep_in_train=self.keep_in_train,
            seed=self.seed,
        )

    def _known(self, recording: Recording) -> dict[str, Cell]:
        label = recording.label if recording.transcript is None else recording.transcript
        return {**recording.attributes, self._class_column: label, self.speaker_from: recording.speaker}

    def _fits(self, recording: Recording, setting: str, condition: Mapping[str, Any] | None) -> bool:
        known = self._known(recording)
        for column in condition or {}:
            if column not in known:
                raise ValueError(f"unknown column in {setting}: got {column!r}, allowed: {', '.join(sorted(known))}")
        return matches(known, condition)


TASKS = {"audio_folder": AudioFolder}
