"""Strings of real spoken digits, English and Arabic: single digits of one speaker, joined; transcripts are the words.

English: the Free Spoken Digit Dataset (Jackson et al., CC BY-SA 4.0). Arabic: the digits of the Arabic Speech Commands
(Ghandoura et al., 2021, CC BY 4.0), transliterated by a fixed table (`digit_takes.ARABIC`). Every recording is in one
string at most, and strings are made within a split, so no recording is in two splits. Every speaker is in every split.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from orchestrator.tasks.base import NO_CLASSES, SAMPLE_RATE_HZ, CorpusSize, Source, Utterance
from orchestrator.tasks.normalizers import DIGITS
from orchestrator.tasks.sources.audio_files import BadRecordingError, read_audio
from orchestrator.tasks.sources.digit_takes import (
    ARABIC,
    Take,
    about_english_speakers,
    arabic_takes,
    english_takes,
    without_silence,
)
from orchestrator.tasks.sources.found_files import digest_of_files
from orchestrator.tasks.transcripts import TranscriptTask

WORDS = {"english": DIGITS, "arabic": ARABIC}
SECONDS_PER_DIGIT = 0.6  # with its pause


class String(NamedTuple):
    """Takes of one speaker, in the order in which they are joined."""

    language: str
    takes: tuple[Take, ...]


@dataclass(frozen=True, kw_only=True)
class ConnectedDigits(TranscriptTask):
    """Digit strings by the speakers of one or both corpora; nothing is downloaded."""

    label: ClassVar[str] = "connected digits"
    version: ClassVar[int] = 1

    fsdd_root: str | None = field(default=None, metadata={"identity": False})  # with recordings/, and speakers.csv
    arabic_root: str | None = field(default=None, metadata={"identity": False})  # with zero/ to nine/
    digits_per_string: tuple[int, int] = (3, 5)  # fewest and most
    pause_seconds: tuple[float, float] = (0.05, 0.2)  # between digits, drawn
    seed: int = 0  # of the strings

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.fsdd_root and not self.arabic_root:
            raise ValueError("connected_digits needs recordings: got no root; set fsdd_root, arabic_root, or both")
        for name, least in (("digits_per_string", 1), ("pause_seconds", 0)):
            low_high = tuple(getattr(self, name))
            if len(low_high) != 2 or not least <= low_high[0] <= low_high[1]:
                raise ValueError(f"{name} must be a pair [low, high] of at least {least}, got {list(low_high)}")
            object.__setattr__(self, name, low_high)
        object.__setattr__(self, "pause_seconds", tuple(map(float, self.pause_seconds)))

    def expected_size(self) -> CorpusSize:
        """The strings; nothing where the files are not here."""
        mean = sum(self.digits_per_string) / 2
        try:
            return CorpusSize(len(self._strings), SECONDS_PER_DIGIT * mean, 1)
        except FileNotFoundError:
            return CorpusSize(0, SECONDS_PER_DIGIT * mean, 1)

    def content(self) -> Mapping[str, Any]:
        """Digest of names and bytes of the recordings, by language."""
        return self._content

    @cached_property
    def _content(self) -> dict[str, Any]:
        return {
            language: digest_of_files({take.name: take.path for take in takes})
            for language, takes in self._takes.items()
        }

    @cached_property
    def _takes(self) -> dict[str, list[Take]]:
        english = {"english": english_takes(self.fsdd_root)} if self.fsdd_root else {}
        return english | ({"arabic": arabic_takes(self.arabic_root)} if self.arabic_root else {})

    @cached_property
    def _strings(self) -> list[String]:
        """All strings; those of a speaker do not depend on which others there are."""
        made = []
        for language, takes in self._takes.items():
            of_speaker: dict[tuple[str, str], list[Take]] = defaultdict(list)
            for take in takes:
                of_speaker[take.speaker, take.split].append(take)
            for (speaker, split), own in sorted(of_speaker.items()):
                rng = np.random.default_rng([self.seed, *f"{language} {speaker} {split}".encode()])
                mixed = [own[drawn] for drawn in rng.permutation(len(own)).tolist()]
                for first, last in cut(len(mixed), self.digits_per_string, rng):
                    made.append(String(language, tuple(mixed[first:last])))
        return made

    def read(self) -> Source:
        """Strings by language, speaker and split; audio is joined as it is read."""
        strings, about = self._strings, about_english_speakers(self.fsdd_root) if self.fsdd_root else {}
        unused = sum(map(len, self._takes.values())) - sum(len(string.takes) for string in strings)
        notes = [f"{unused} recordings are left over and in no string"] if unused else []

        def utterances() -> Iterator[Utterance]:
            for string in strings:
                first, words = string.takes[0], WORDS[string.language]
                known = about.get(first.speaker, {}) if string.language == "english" else {}
                name = "-".join(f"{take.digit}_{take.take}" for take in string.takes)
                utterance_id = f"{string.language}/{first.speaker}/{name}"
                yield Utterance(
                    utterance_id=utterance_id,
                    audio=self._joined(string, np.random.default_rng([self.seed, *utterance_id.encode()])),
                    label="",
                    speaker=f"{string.language}-{first.speaker}",
                    split=first.split,
                    attributes={"language": string.language, "gender": None, "accent": None, **known},
                    transcript=" ".join(words[take.digit] for take in string.takes),
                )

        return Source(NO_CLASSES, utterances(), notes=notes, about={"entities": self._words})

    @property
    def _words(self) -> list[str]:
        return [word for language in self._takes for word in WORDS[language]]

    def _joined(self, string: String, rng: np.random.Generator) -> npt.NDArray[np.int16]:
        pieces: list[npt.NDArray[np.int16]] = []
        for take in string.takes:
            try:
                spoken = without_silence(read_audio(take.path))
            except BadRecordingError as defect:
                raise BadRecordingError(f"{defect}: {take.path}; replace the file, or remove it") from None
            pause = round(rng.uniform(*self.pause_seconds) * SAMPLE_RATE_HZ)
            pieces += [spoken, np.zeros(pause, dtype=np.int16)]
        return np.concatenate(pieces[:-1])


def cut(count: int, sizes: Sequence[int], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Ranges that cover 0 to `count` with random lengths from `sizes[0]` to `sizes[1]`, as far as that is possible."""
    least, most = sizes
    ranges, first = [], 0
    while (rest := count - first) >= least:
        fitting = [size for size in range(least, min(most, rest) + 1) if size == rest or rest - size >= least]
        size = int(rng.choice(fitting or [min(most, rest)]))
        ranges.append((first, first + size))
        first += size
    return ranges


TASKS = {"connected_digits": ConnectedDigits}
