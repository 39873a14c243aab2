"""The embedded corpora: Speech Commands words by eSpeak NG, labeled by word or by speaker, and one for pretraining."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from orchestrator.tasks.base import SPLITS, Kind
from orchestrator.tasks.espeak_tts.casting import evenly, refuse_empty_classes, speaker_pools, word_roles
from orchestrator.tasks.espeak_tts.corpus import EspeakTask
from orchestrator.tasks.espeak_tts.sampling import Role, Speaker, deal, generator
from orchestrator.tasks.espeak_tts.settings import number, whole
from orchestrator.tasks.espeak_tts.words import (
    KEYWORDS,
    PRETRAINING_WORDS,
    SILENCE,
    SUPERB_CLASSES,
    UNKNOWN,
    UNKNOWN_WORDS,
)

LEAST_CLIPS_PER_SPEAKER = 8

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class EspeakKeywords(EspeakTask):
    """The twelve classes of SUPERB's keyword spotting: ten keywords, twenty other words as one class, and silence."""

    label: ClassVar[str] = "KS (eSpeak)"

    unknown_share: float | None = None  # of train (and holdout); 0.64 in SUPERB; default: as many as of any class
    train_silence_clips: int | None = None  # 6 in SUPERB; default: as many as of any class
    speaker_disjoint: bool = False  # validation and test by speakers of their own, as in Speech Commands

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unknown_share is not None:
            object.__setattr__(self, "unknown_share", number("unknown_share", self.unknown_share, 0.01, 0.95))
        if self.train_silence_clips is not None:
            whole("train_silence_clips", self.train_silence_clips, 0, self.clips)
        if not isinstance(self.speaker_disjoint, bool):
            raise ValueError(f"speaker_disjoint must be true or false, got {self.speaker_disjoint!r}")
        skewed = () if self.train_silence_clips is None else (SILENCE,)
        refuse_empty_classes(self.class_sizes(), self.clips, may_be_empty=skewed)
        self._pools(range(self.speakers))

    @property
    def kind(self) -> Kind:
        """A class is a word."""
        return "keywords"

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the Hugging Face data set `superb`, configuration `ks`."""
        return SUPERB_CLASSES

    def class_sizes(self) -> dict[str, dict[str, int]]:
        """Clips of each class in each split. Validation and test are balanced; holdout is skewed as train is."""
        splits = self.split_sizes(self.clips)
        sizes = {split: evenly(count, self.classes) for split, count in splits.items()}
        for split in ("train", "holdout"):
            fixed = {}
            if self.unknown_share is not None:
                fixed[UNKNOWN] = round(self.unknown_share * splits[split])
            if self.train_silence_clips is not None:
                fixed[SILENCE] = round(self.train_silence_clips * splits[split] / splits["train"])
            others = [name for name in self.classes if name not in fixed]
            sizes[split] = evenly(splits[split] - sum(fixed.values()), others) | fixed
        return sizes

    def roles(self, speakers: Sequence[Speaker]) -> list[Role]:
        """Words and speakers are dealt evenly within each class of each split."""
        words = {word: (word,) for word in KEYWORDS} | {UNKNOWN: UNKNOWN_WORDS}
        return word_roles(self.class_sizes(), words, self._pools(speakers), self.seed)

    def _pools(self, speakers: Sequence[T]) -> dict[str, list[T]]:
        return speaker_pools(speakers, self.seed, self.speaker_disjoint, self.test_share, self.validation_share)


@dataclass(frozen=True, kw_only=True)
class EspeakSpeakers(EspeakTask):
    """Speaker identification on the same words; each speaker is in every split, and any word in any.

    Voices are closer than in the other tasks, and overlap through their jitter: what tells two of them apart in
    training is partly chance, so a small model that knows its training clips by heart does worse on new ones.
    """

    label: ClassVar[str] = "SID (eSpeak)"

    speakers: int = 20
    voice_spread: float = 0.3  # narrower is harder; so are more speakers at the same spread
    words_per_clip: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("words_per_clip", self.words_per_clip, 1, 50)
        if self.clips < LEAST_CLIPS_PER_SPEAKER * self.speakers:
            raise ValueError(
                f"too few clips: got clips={self.clips} for {self.speakers} speakers, "
                f"allowed: at least {LEAST_CLIPS_PER_SPEAKER} a speaker, "
                f"{LEAST_CLIPS_PER_SPEAKER * self.speakers} in all"
            )

    @property
    def kind(self) -> Kind:
        """A class is a speaker."""
        return "speakers"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the speakers, numbered."""
        return tuple(f"s{speaker:04d}" for speaker in range(self.speakers))

    def roles(self, speakers: Sequence[Speaker]) -> list[Role]:
        """Words are dealt to each speaker first, and splits drawn over the clips afterward."""
        rng = generator(self.seed, "roles")
        roles = []
        for speaker, count in zip(speakers, evenly(self.clips, self.classes).values(), strict=True):
            words = deal(rng, (*KEYWORDS, *UNKNOWN_WORDS), count * self.words_per_clip)
            splits = [split for split, size in self._sizes_of_one(count).items() for _ in range(size)]
            roles += [
                Role(split, speaker.name, " ".join(words[clip::count]), speaker)
                for clip, split in enumerate(rng.permutation(splits).tolist())
            ]
        return roles

    def _sizes_of_one(self, count: int) -> dict[str, int]:
        sizes = self.split_sizes(count)
        for split in ("validation", "test", "holdout"):
            sizes[split] = max(sizes[split], 0 if split == "holdout" and not self.holdout_share else 1)
        return sizes | {"train": count - sum(sizes[split] for split in SPLITS if split != "train")}


@dataclass(frozen=True, kw_only=True)
class EspeakPretraining(EspeakTask):
    """Words and voices that the other tasks do not use, for pretraining small backbones."""

    label: ClassVar[str] = "Words (eSpeak)"
    half: ClassVar[int] = 1

    clips: int = 20_000
    speakers: int = 200
    words: int = len(PRETRAINING_WORDS)

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("words", self.words, 2, len(PRETRAINING_WORDS))
        refuse_empty_classes(self.class_sizes(), self.clips)

    @property
    def kind(self) -> Kind:
        """A class is a word."""
        return "keywords"

    @property
    def classes(self) -> tuple[str, ...]:
        """Words in alphabetical order; which ones is drawn where there are fewer than all."""
        return tuple(sorted(generator(self.seed, "words").permutation(PRETRAINING_WORDS)[: self.words].tolist()))

    def class_sizes(self) -> dict[str, dict[str, int]]:
        """Clips of each word in each split."""
        return {split: evenly(count, self.classes) for split, count in self.split_sizes(self.clips).items()}

    def roles(self, speakers: Sequence[Speaker]) -> list[Role]:
        """Speakers are dealt evenly within each word of each split."""
        words = {word: (word,) for word in self.classes}
        return word_roles(self.class_sizes(), words, {split: list(speakers) for split in SPLITS}, self.seed)


TASKS = {
    "espeak_keywords": EspeakKeywords,
    "espeak_speakers": EspeakSpeakers,
    "espeak_pretraining": EspeakPretraining,
}
