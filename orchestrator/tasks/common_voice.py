"""Common Voice (Ardila et al., LREC 2020): read sentences by volunteers, from a local copy of one language.

`root` has `train.tsv`, `dev.tsv`, `test.tsv` and `clips/`. Nothing is downloaded. A speaker is a `client_id`; the
official splits are by speaker. The normalizer must be able to spell the language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from orchestrator.digests import sha256_of
from orchestrator.tasks.base import NO_CLASSES, Source
from orchestrator.tasks.read_speech import ReadSpeech
from orchestrator.tasks.sources import audio_files, found_files
from orchestrator.tasks.sources.audio_files import Recording
from orchestrator.tasks.sources.manifest import inside
from orchestrator.tasks.sources.tables import Table, read_table, text

LISTS = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}
NEEDED = ("client_id", "path", "sentence")
ATTRIBUTES = {"accents": "accent", "accent": "accent", "gender": "gender", "age": "age", "locale": "locale"}


@dataclass(frozen=True, kw_only=True)
class CommonVoice(ReadSpeech):
    """The official splits of one language; recordings longer than `max_seconds` are left out and listed."""

    label: ClassVar[str] = "Common Voice"
    version: ClassVar[int] = 1
    typical_seconds: ClassVar[float] = 5.0

    def content(self) -> Mapping[str, Any]:
        """Digest of names and bytes of the listed clips, and of the lists."""
        return self._content

    @cached_property
    def _content(self) -> dict[str, Any]:
        lists = {split: sha256_of(self._list(split)) for split in LISTS}
        return {**found_files.digest_of_files({r.utterance_id: r.path for r in self.recordings}), "lists": lists}

    def _list(self, split: str) -> Path:
        root = audio_files.require_folder(self.root, "Common Voice")
        if not (file := root / LISTS[split]).is_file():
            raise FileNotFoundError(
                f"list of Common Voice not found: got root {root} without {file.name}; set `root` to the folder of one "
                f"language, which has {', '.join(LISTS.values())} and clips/"
            )
        return file

    @cached_property
    def recordings(self) -> list[Recording]:
        """All listed recordings, split by split."""
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
        left = self.transcribable(skipped)
        return Source(NO_CLASSES, audio_files.utterances(left, skipped, self.on_bad_audio), skipped)


TASKS = {"common_voice": CommonVoice}
