"""The base of tasks with transcripts: what a recording is labeled with is the text that is said in it."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.tasks.base import Foretold, Kind, Task
from orchestrator.tasks.normalizers import normalizer_of


@dataclass(frozen=True, kw_only=True)
class TranscriptTask(Task):
    """A task whose utterances have a `transcript`, which the corpus keeps normalized in its column `text`."""

    normalizer: str = "english-1"  # name and version: one spelling for references and hypotheses

    def __post_init__(self) -> None:
        super().__post_init__()
        require_transcript_settings(self, self.normalizer)

    @property
    def kind(self) -> Kind:
        """An utterance has no class, only a transcript."""
        return "transcripts"

    @property
    def text_normalizer(self) -> str | None:
        """As the setting says."""
        return self.normalizer

    def foretold(self) -> Foretold:
        """Tasks plant no secrets, unless they say so."""
        return Foretold(canaries=())

    @property
    def unforgettable(self) -> tuple[str, ...]:
        """There are no classes."""
        return ()


def require_transcript_settings(task: Task, normalizer: str) -> None:
    """Check the settings that all tasks with transcripts have.

    Raises:
        ValueError: the normalizer is unknown, or there are wrong labels for a task that has no classes to exchange.
    """
    normalizer_of(normalizer)
    for name in ("label_noise", "poison"):
        if getattr(task, name):
            raise ValueError(
                f"{name} exchanges classes, and transcripts have none: got {dict(getattr(task, name))}; remove it"
            )
