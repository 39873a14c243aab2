"""The ten digits in several languages by eSpeak NG; a class is a digit, in whatever language it is spoken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import ClassVar, Literal

from orchestrator.tasks.base import SPLITS, Source
from orchestrator.tasks.espeak_tts.casting import evenly, refuse_empty_classes, word_roles
from orchestrator.tasks.espeak_tts.corpus import EspeakTask
from orchestrator.tasks.espeak_tts.sampling import Role, Speaker, deal, generator

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LANGUAGES = ("ar", "de", "en-us", "es", "fr", "hi", "it", "nl", "pl", "pt", "ru", "tr")  # that have every voice variant


@dataclass(frozen=True, kw_only=True)
class EspeakDigits(EspeakTask):
    """Spoken digits. Every voice speaks every language, so that no speaker gives away a language.

    The attribute `language` says which; `accent` is the same here. eSpeak NG reads the numeral in the voice's language.
    """

    label: ClassVar[str] = "Digits (eSpeak)"

    speakers: int = 24
    languages: tuple[str, ...] = ("en-us", "de", "fr", "es")

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "languages", tuple(self.languages))
        each_once = len(set(self.languages)) == len(self.languages) > 0
        if not each_once or not set(self.languages) <= set(LANGUAGES):
            raise ValueError(
                f"languages must be one or more of {', '.join(LANGUAGES)}, each once; got {', '.join(self.languages)}"
            )
        refuse_empty_classes(self.class_sizes(), self.clips)

    @property
    def kind(self) -> Literal["keywords", "speakers"]:
        """A class is a word."""
        return "keywords"

    @property
    def classes(self) -> tuple[str, ...]:
        """The English names of the digits, by value."""
        return DIGITS

    def class_sizes(self) -> dict[str, dict[str, int]]:
        """Clips of each digit in each split."""
        return {split: evenly(count, self.classes) for split, count in self.split_sizes(self.clips).items()}

    def roles(self, speakers: Sequence[Speaker]) -> list[Role]:
        """Speakers are dealt evenly within each digit of each split, and so are languages."""
        words = {digit: (str(value),) for value, digit in enumerate(DIGITS)}
        rng, found = generator(self.seed, "languages"), list[Role]()
        spoken = word_roles(self.class_sizes(), words, {split: list(speakers) for split in SPLITS}, self.seed)
        for _, group in groupby(spoken, key=lambda role: (role.split, role.label)):
            same = list(group)
            for role, language in zip(same, deal(rng, self.languages, len(same)), strict=True):
                assert role.speaker is not None
                found.append(role._replace(speaker=role.speaker._replace(accent=language)))
        return found

    def read(self) -> Source:
        """The recordings of the base, with their language."""
        found = super().read()
        spoken = (
            replace(one, attributes={**one.attributes, "language": one.attributes["accent"]})
            for one in found.utterances
        )
        return replace(found, utterances=spoken)


TASKS = {"espeak_digits": EspeakDigits}
