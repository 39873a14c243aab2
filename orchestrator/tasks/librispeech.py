"""LibriSpeech (Panayotov et al., ICASSP 2015): read English with transcripts, from a local copy.

`root` is `LibriSpeech`, or the folder that has it: `<part>/<speaker>/<chapter>/<id>.flac`, with the transcripts in
`<speaker>-<chapter>.trans.txt`. Nothing is downloaded. Speakers of the official parts are disjoint; `test: []` and
`validation: []` draw both from the parts of train, so that every speaker can be in every split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from orchestrator.tasks.base import NO_CLASSES, Source
from orchestrator.tasks.read_speech import ReadSpeech
from orchestrator.tasks.sources import audio_files, found_files
from orchestrator.tasks.sources.audio_files import Recording
from orchestrator.tasks.sources.given_splits import with_splits
from orchestrator.tasks.sources.splits import require_share

TRANSCRIPTS = "*/*/*.trans.txt"


@dataclass(frozen=True, kw_only=True)
class LibriSpeech(ReadSpeech):
    """Parts of LibriSpeech as splits; recordings longer than `max_seconds` are left out and listed."""

    label: ClassVar[str] = "LibriSpeech"
    version: ClassVar[int] = 1
    typical_seconds: ClassVar[float] = 12.3

    train: Sequence[str] = ("train-clean-100",)  # parts
    validation: Sequence[str] = ("dev-clean",)  # parts; none: `validation_share` of train
    test: Sequence[str] = ("test-clean",)  # parts; none, with no validation: `test_share` of train
    train_speakers: int | None = None  # of the parts of train, drawn by seed; None: all
    test_share: float = 0.1
    validation_share: float = 0.1
    seed: int = 0  # of the drawn speakers and splits

    def __post_init__(self) -> None:
        super().__post_init__()
        require_share("test_share", self.test_share)
        require_share("validation_share", self.validation_share)
        for name in ("train", "validation", "test"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a list of parts, got {getattr(self, name)!r}")
            object.__setattr__(self, name, tuple(getattr(self, name)))
        parts = [*self.train, *self.validation, *self.test]
        if not self.train or len(set(parts)) < len(parts):
            raise ValueError(
                f"each part belongs to one split, and train needs one: got train {list(self.train)}, validation "
                f"{list(self.validation)}, test {list(self.test)}"
            )
        if self.validation and not self.test:
            raise ValueError("a drawn test split needs a drawn validation split: got validation without test; add "
                             "parts to test, or set validation: []")  # fmt: skip
        if self.train_speakers is not None and self.train_speakers < 1:
            raise ValueError(f"train_speakers must be a whole number of 1 or more, got {self.train_speakers}")

    def content(self) -> Mapping[str, Any]:
        """Digest of names and bytes of the recordings, and of the transcripts."""
        return self._content

    @cached_property
    def _content(self) -> dict[str, Any]:
        texts = {path.relative_to(self._folder).as_posix(): path for path in self._transcripts}
        recordings = {r.utterance_id: r.path for r in self.recordings}
        return {**found_files.digest_of_files(recordings), "texts": found_files.digest_of_files(texts)["sha256"]}

    @cached_property
    def _folder(self) -> Path:
        root = audio_files.require_folder(self.root, "LibriSpeech")
        return root / "LibriSpeech" if (root / "LibriSpeech").is_dir() else root

    @cached_property
    def _transcripts(self) -> list[Path]:
        """The files with transcripts, part by part, those of drawn speakers only."""
        found: list[Path] = []
        for part in (*self.train, *self.validation, *self.test):
            files = sorted((self._folder / part).glob(TRANSCRIPTS))
            if not files:
                there = sorted({_part_of(path) for path in self._folder.glob(f"*/{TRANSCRIPTS}")})
                raise FileNotFoundError(
                    f"part of LibriSpeech not found: got {part!r} without <speaker>/<chapter>/*.trans.txt in "
                    f"{self._folder}, which has {', '.join(there) or 'no parts'}; set `root`, or other parts"
                )
            found += files
        chosen = self._chosen_speakers(found)
        return [path for path in found if _part_of(path) not in self.train or _speaker_of(path) in chosen]

    def _chosen_speakers(self, files: Sequence[Path]) -> set[str]:
        speakers = sorted({_speaker_of(path) for path in files if _part_of(path) in self.train})
        if self.train_speakers is None:
            return set(speakers)
        if self.train_speakers > len(speakers):
            raise ValueError(
                f"too few speakers: got train_speakers {self.train_speakers}, allowed: {len(speakers)} or fewer"
            )
        order = np.random.default_rng(self.seed).permutation(len(speakers)).tolist()
        return {speakers[drawn] for drawn in order[: self.train_speakers]}

    @cached_property
    def recordings(self) -> list[Recording]:
        """All recordings with a transcript, part by part."""
        split_of = {part: split for split in ("train", "validation", "test") for part in getattr(self, split)}
        drawn = not self.test
        found = []
        for path in self._transcripts:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                name, _, transcript = line.strip().partition(" ")
                if not name:
                    continue
                audio = path.with_name(f"{name}.flac")
                found.append(
                    Recording(
                        path=audio,
                        utterance_id=audio.relative_to(self._folder).as_posix(),
                        label="",
                        speaker=_speaker_of(path),
                        split="" if drawn else split_of[_part_of(path)],
                        attributes={"part": _part_of(path), "chapter": path.parent.name, **self._about(path)},
                        where=f"{path.name} line {number}",
                        transcript=transcript,
                    )
                )
        return found

    def _about(self, path: Path) -> dict[str, str | float | None]:
        return {"gender": self._genders.get(_speaker_of(path))}

    @cached_property
    def _genders(self) -> dict[str, str]:
        """Gender of each speaker, from `SPEAKERS.TXT` (`id | F or M | …`) where it is there."""
        file = self._folder / "SPEAKERS.TXT"
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
        cells = [[cell.strip() for cell in line.split("|")] for line in lines if not line.startswith(";")]
        return {row[0]: {"F": "female", "M": "male"}[row[1]] for row in cells if len(row) > 1 and row[1] in ("F", "M")}

    def read(self) -> Source:
        """Recordings part by part, in the order of their names."""
        skipped: list[str] = []
        left = self.transcribable(skipped)
        recordings = with_splits(
            left,
            test_share=self.test_share,
            validation_share=self.validation_share,
            keep_in_train=self.keep_in_train,
            seed=self.seed,
        )
        return Source(NO_CLASSES, audio_files.utterances(recordings, skipped, self.on_bad_audio), skipped)


def _part_of(transcripts: Path) -> str:
    return transcripts.parents[2].name


def _speaker_of(transcripts: Path) -> str:
    return transcripts.parents[1].name


TASKS = {"librispeech": LibriSpeech}
