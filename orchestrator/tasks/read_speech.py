"""The base of corpora of read speech: recordings with transcripts, listed in files below a root."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from orchestrator.tasks.base import CorpusSize
from orchestrator.tasks.sources import audio_files, spoken_texts
from orchestrator.tasks.sources.audio_files import Recording
from orchestrator.tasks.transcripts import TranscriptTask


@dataclass(frozen=True, kw_only=True)
class ReadSpeech(TranscriptTask):
    """A corpus with a folder of its own; recordings longer than `max_seconds` are left out and listed."""

    typical_seconds: ClassVar[float]  # of a recording

    root: str = field(metadata={"identity": False})
    max_seconds: float | None = None  # of a recording
    on_bad_audio: str = "error"  # or skip: leave bad recordings and transcripts out, and list them in the corpus

    def __post_init__(self) -> None:
        super().__post_init__()
        audio_files.require_choice("on_bad_audio", self.on_bad_audio, audio_files.ON_BAD_AUDIO)
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise ValueError(f"max_seconds must be positive, got {self.max_seconds}")

    @property
    @abstractmethod
    def recordings(self) -> Sequence[Recording]:
        """All recordings that the corpus lists."""

    def expected_size(self) -> CorpusSize:
        """From the lists; nothing where the files are not here."""
        seconds = min(self.typical_seconds, self.max_seconds or self.typical_seconds)
        try:
            return CorpusSize(len(self.recordings), seconds, 1)
        except FileNotFoundError:
            return CorpusSize(0, seconds, 1)

    def transcribable(self, skipped: list[str]) -> list[Recording]:
        """Return the recordings that can be transcribed, as `spoken_texts.transcribable` does."""
        return spoken_texts.transcribable(
            self.recordings, self.normalizer, self.max_seconds, skipped, self.on_bad_audio
        )
