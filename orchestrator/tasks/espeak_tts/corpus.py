"""The base of the synthetic corpora: settings, sampling, and rendering into utterances."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from orchestrator.tasks.base import CorpusSize, Source, Task, Utterance
from orchestrator.tasks.espeak_tts.acoustics import NOISES
from orchestrator.tasks.espeak_tts.casting import split_sizes
from orchestrator.tasks.espeak_tts.engine import engine, variant_halves
from orchestrator.tasks.espeak_tts.rendering import recorded
from orchestrator.tasks.espeak_tts.sampling import (
    Clip,
    Conditions,
    Role,
    Speaker,
    draw_clips,
    draw_speakers,
    draw_talkers,
)
from orchestrator.tasks.espeak_tts.settings import number, shares_and_conditions, whole
from orchestrator.tasks.espeak_tts.words import PRETRAINING_WORDS, SILENCE

TALKERS = 40  # lines of which babble is made
Recordings = Iterator[tuple[Clip, npt.NDArray[np.int16]]]
NOBODY = "_noise_"  # the speaker of clips in which nobody speaks


@dataclass(frozen=True, kw_only=True)
class EspeakTask(Task):
    """Words by many eSpeak NG voices. Same settings, same bytes, for one version of the wheel and one platform.

    A speaker is a drawn voice identity (variant, pitch, rate, accent). Clips of a speaker vary in word, in noise, level
    and position, and a little in pitch and rate. Raises ValueError for settings that cannot be met.
    """

    version: ClassVar[int] = 1
    half: ClassVar[int] = 0  # which half of the voice variants speaks: 0 in the demo corpora, 1 in pretraining

    clips: int = 1200
    speakers: int = 60
    seed: int = 0
    seconds: float = 1.0  # of each clip
    snr_db: tuple[float, float] = (5.0, 25.0)  # of the word while it sounds, drawn per clip
    level_db: tuple[float, float] = (-35.0, -18.0)  # RMS of the word, dB of full scale, drawn per clip
    noises: tuple[str, ...] = NOISES
    voice_spread: float = 1.0  # how far apart voices are: the share of variants, accents, pitches and rates in use
    pitch_jitter: float = 3.0  # standard deviation over a speaker's clips, on eSpeak's scale of 0 to 99
    rate_jitter: float = 8.0  # standard deviation over a speaker's clips, words per minute
    test_share: float = 0.15  # of all clips
    validation_share: float = 0.1  # of all clips
    holdout_share: float = 0.1  # of what test and validation leave
    workers: int | None = field(
        default=None, metadata={"identity": False}
    )  # processes at once; default: one a processor

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("clips", self.clips, 1, math.inf)
        whole("speakers", self.speakers, 2, 9999)
        whole("seed", self.seed, 0, math.inf)
        checked = {"seconds": number("seconds", self.seconds, 0.1, 60), **shares_and_conditions(self)}
        for name, value in checked.items():  # 1 and 1.0, a list and a tuple must give one fingerprint
            object.__setattr__(self, name, value)

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Class names in their fixed order."""

    @abstractmethod
    def roles(self, speakers: Sequence[Speaker]) -> list[Role]:
        """Who says what in which split, in any fixed order."""

    def split_sizes(self, clips: int) -> dict[str, int]:
        """How many of `clips` each split gets."""
        return split_sizes(clips, self.test_share, self.validation_share, self.holdout_share)

    def expected_size(self) -> CorpusSize:
        """The requested clips."""
        return CorpusSize(self.clips, self.seconds, len(self.classes))

    def content(self) -> Mapping[str, Any]:
        """The engine: its version and platform."""
        return engine()

    def read(self) -> Source:
        """Draw everything at once; render lazily, as the utterances are read."""
        recordings = spoken(self, self.speakers, self.seconds)

        def utterances() -> Iterator[Utterance]:
            for clip, audio in recordings():
                role, name = clip.role, clip.role.speaker.name if clip.role.speaker else NOBODY
                yield Utterance(
                    utterance_id=f"{role.text.replace(' ', '-') or SILENCE}/{name}_{clip.number:06d}",
                    audio=audio,
                    label=role.label,
                    speaker=name,
                    split=role.split,
                    attributes={"text": role.text if role.speaker else None, **attributes_of(clip)},
                )

        return Source(self.classes, utterances())


def spoken(task: Any, voices: int, seconds: float | None) -> Callable[[], Recordings]:
    """Draw all clips of a task, and return what renders them, as `recorded` does.

    Args:
        task: has `half`, `seed`, `workers`, the settings of `Conditions` and `voice_spread`, and says in `roles` who
            says what.
        voices: how many speakers are drawn.
        seconds: of each clip; None: as long as its speech and a margin.
    """
    variants = variant_halves()[task.half]
    speakers = draw_speakers(task.seed, voices, variants, task.voice_spread)
    conditions = Conditions(
        snr_db=task.snr_db,
        level_db=task.level_db,
        noises=task.noises,
        pitch_jitter=task.pitch_jitter,
        rate_jitter=task.rate_jitter,
    )
    clips = draw_clips(task.seed, task.roles(speakers), conditions)
    talkers = draw_talkers(task.seed, TALKERS, variants, PRETRAINING_WORDS)
    return lambda: recorded(clips, talkers, seconds, task.seed, task.workers)


OF_CLIPS = ("voice", "accent", "gender", "pitch", "words_per_minute", "snr_db", "noise", "level_db")
"""Attributes that every clip has."""


def attributes_of(clip: Clip) -> dict[str, str | float | None]:
    """What was drawn for a clip: voice, accent, gender, pitch, rate, noise, level; None where nobody speaks."""
    speaker = clip.role.speaker
    recording: dict[str, str | float | None] = {"noise": clip.noise, "level_db": clip.level_db}
    if speaker is None:
        return {**dict.fromkeys(OF_CLIPS), **recording}
    return {
        "voice": speaker.variant,
        "accent": speaker.accent,
        "gender": speaker.gender,
        "pitch": clip.pitch,
        "words_per_minute": clip.words_per_minute,
        "snr_db": clip.snr_db,
        **recording,
    }
