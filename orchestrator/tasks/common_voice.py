"""Common Voice (Ardila et al., LREC 2020): read sentences by volunteers, from a local copy of one language.

`root` has `train.tsv`, `dev.tsv`, `test.tsv` and `clips/`. Nothing is downloaded. A speaker is a `client_id`; the
official splits are by speaker. The normalizer must be able to spell the language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from orchestrator.digests import sha256_of
from orchestrator.tasks.base import NO_CLASSES, CorpusSize, Source
from orchestrator.tasks.sources import audio_files, found_files, spoken_texts
from orchestrator.tasks.sources.audio_files import Recording
from orchestrator.tasks.sources.manifest import inside
from orchestrator.tasks.sources.tables import Table, read_table, text
from orchestrator.tasks.transcripts import TranscriptTask

LISTS = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}
NEEDED = ("client_id", "path", "sentence")
ATTRIBUTES = {"accents": "accent", "accent": "accent", "gender": "gender", "age": "age", "locale": "locale"}
TYPICAL_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class CommonVoice(TranscriptTask):
    """The official splits of one language; recordings longer than `max_seconds` are left out and listed."""

    label: ClassVar[str] = "Common Voice"
    version: ClassVar[int] = 1

    root: str = field(metadata={"identity": False})
    max_seconds: float | None = None  # of a recording
    on_bad_audio: str = "error"  # or skip: leave bad recordings and transcripts out, and list them in the corpus

    def __post_init__(self) -> None:
        super().__post_init__()
        audio_files.require_choice("on_bad_audio", self.on_bad_audio, audio_files.ON_BAD_AUDIO)
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise ValueError(f"max_seconds must be positive, got {self.max_seconds}")

    def expected_size(self) -> CorpusSize:
        """From the lists; nothing where the files are not here."""
        seconds = min(TYPICAL_SECONDS, self.max_seconds or TYPICAL_SECONDS)
        try:
            return CorpusSize(len(self._recordings), seconds, 1)
        except FileNotFoundError:
            return CorpusSize(0, seconds, 1)

    def content(self) -> Mapping[str, Any]:
        """Digest of names and bytes of the listed clips, and of the lists."""
        return self._content

    @cached_property
    def _content(self) -> dict[str, Any]:
        lists = {split: sha256_of(self._list(split)) for split in LISTS}
        return {**found_files.digest_of_files({r.utterance_id: r.path for r in self._recordings}), "lists": lists}

    def _list(self, split: str) -> Path:
        root = audio_files.require_folder(self.root, "Common Voice")
        if not (file := root / LISTS[split]).is_file():
            raise FileNotFoundError(
                f"list of Common Voice not found: got root {root} without {file.name}; set `root` to the folder of one "
                f"language, which has {', '.join(LISTS.values())} and clips/"
            )
        return file

    @cached_property
    def _recordings(self) -> list[Recording]:
        return [recording for split in LISTS for recording in self._of_list(read_table(self._list(split)), split)]

    def _of_list(self, table: Table, split: str) -> list[Recording]:
        for column in NEEDED:
            table.require(column)
        clips, found = Path(self.root).expanduser().absolute() / "clips", []
        for number, row in enumerate(table.rows, start=1):
            where = f"{table.name} row {number}"
            name = inside(text(row["path"]), where, clips)
            known = {attribute: row[column] for column, attribute in ATTRIBUTES.items() if row.get(column) is not None}
            found.append(
                Recording(
                    path=clips / name,
                    utterance_id=name,
                    label="",
                    speaker=text(row["client_id"]),
                    split=split,
                    attributes={**dict.fromkeys(ATTRIBUTES.values()), **known},
                    where=where,
                    transcript=text(row["sentence"]),
                )
            )
        return found

    def read(self) -> Source:
        """Clips in the order of the lists: train, validation, test."""
        skipped: list[str] = []
        left = spoken_texts.transcribable(
            self._recordings, self.normalizer, self.max_seconds, skipped, self.on_bad_audio
        )
        return Source(NO_CLASSES, audio_files.utterances(left, skipped, self.on_bad_audio), skipped)


TASKS = {"common_voice": CommonVoice}
