"""Sample what a corpus needs before rendering: its speakers, and the conditions of each clip."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from orchestrator.tasks.espeak_tts.engine import ACCENTS, Line, gender

T = TypeVar("T")

MIDDLE_PITCH, PITCH_REACH = 50, 45  # of eSpeak's scale, 0 to 99
MIDDLE_RATE, RATE_REACH = 165, 45  # words per minute
SLOWEST, FASTEST = 80, 450  # what eSpeak takes


class Speaker(NamedTuple):
    """A drawn voice identity."""

    name: str
    variant: str
    accent: str
    pitch: int  # 0 to 99
    words_per_minute: int
    gender: str | None


class Role(NamedTuple):
    """Who says what, and where it goes. Without a speaker there is nothing but noise."""

    split: str
    label: str
    text: str
    speaker: Speaker | None


class Clip(NamedTuple):
    """A role with the conditions of its recording."""

    number: int
    role: Role
    pitch: int
    words_per_minute: int
    noise: str
    snr_db: float
    level_db: float
    position: float  # 0 is the start of the clip, 1 the end

    @property
    def line(self) -> Line | None:
        """The line that eSpeak renders."""
        speaker = self.role.speaker
        if speaker is None:
            return None
        return Line(f"{speaker.accent}+{speaker.variant}", self.role.text, self.pitch, self.words_per_minute)


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """From what range each clip's conditions are drawn, uniformly."""

    snr_db: tuple[float, float]
    level_db: tuple[float, float]
    noises: tuple[str, ...]
    pitch_jitter: float  # standard deviation around the speaker's pitch
    rate_jitter: float  # standard deviation around the speaker's rate, words per minute


def generator(seed: int, purpose: str) -> np.random.Generator:
    """Independent draws for each purpose, so that a new purpose does not change the draws of the others."""
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def deal(rng: np.random.Generator, items: Sequence[T], count: int) -> list[T]:
    """`count` items from shuffled decks: in random order, and each as often as any other, give or take one."""
    decks = [rng.permutation(len(items)) for _ in range(math.ceil(count / len(items)))]
    return [items[number] for deck in decks for number in deck][:count]


def draw_speakers(seed: int, count: int, variants: Sequence[str], spread: float) -> list[Speaker]:
    """`count` different voices. `spread`, in (0, 1], is the share of variants, accents, pitches and rates in use.

    Raises ValueError where so small a spread does not hold so many voices.
    """
    rng = generator(seed, "speakers")
    chosen = rng.permutation(variants)[: math.ceil(spread * len(variants))].tolist()
    accents = rng.permutation(ACCENTS)[: math.ceil(spread * len(ACCENTS))].tolist()
    pitch_reach, rate_reach = round(spread * PITCH_REACH), round(spread * RATE_REACH)
    room = len(chosen) * len(accents) * (2 * pitch_reach + 1) * (2 * rate_reach + 1)
    if 2 * count > room:
        raise ValueError(
            f"voice_spread is too small for so many speakers: got {spread} for {count} speakers, "
            f"allowed: at most {room // 2} speakers at this spread"
        )
    taken: set[tuple[str, str, int, int]] = set()
    while len(taken) < count:
        missing = count - len(taken)
        pitches = rng.integers(
            MIDDLE_PITCH - pitch_reach, MIDDLE_PITCH + pitch_reach, size=missing, endpoint=True
        ).tolist()
        rates = rng.integers(MIDDLE_RATE - rate_reach, MIDDLE_RATE + rate_reach, size=missing, endpoint=True).tolist()
        taken |= set(zip(deal(rng, chosen, missing), deal(rng, accents, missing), pitches, rates, strict=True))
    voices = sorted(taken)  # a set has no order of its own
    return [
        Speaker(f"s{number:04d}", variant, accent, pitch, rate, gender(variant))
        for number, (variant, accent, pitch, rate) in enumerate(
            voices[drawn] for drawn in rng.permutation(count).tolist()
        )
    ]


def draw_clips(seed: int, roles: Sequence[Role], conditions: Conditions) -> list[Clip]:
    """The roles in random order, each with its conditions; no condition depends on split, label or speaker."""
    rng = generator(seed, "conditions")
    count = len(roles)
    order = rng.permutation(count).tolist()
    pitch = rng.normal(0.0, conditions.pitch_jitter, size=count)
    rate = rng.normal(0.0, conditions.rate_jitter, size=count)
    noises = deal(rng, conditions.noises, count)
    snr_db, level_db = rng.uniform(*conditions.snr_db, size=count), rng.uniform(*conditions.level_db, size=count)
    position = rng.uniform(size=count)
    clips = []
    for number, role in enumerate(roles[drawn] for drawn in order):
        speaker = role.speaker
        clips.append(
            Clip(
                number=number,
                role=role,
                pitch=int(np.clip(round(speaker.pitch + pitch[number]), 0, 99)) if speaker else 0,
                words_per_minute=int(np.clip(round(speaker.words_per_minute + rate[number]), SLOWEST, FASTEST))
                if speaker
                else 0,
                noise=noises[number],
                snr_db=float(snr_db[number]),
                level_db=float(level_db[number]),
                position=float(position[number]),
            )
        )
    return clips


def draw_talkers(seed: int, count: int, variants: Sequence[str], words: Sequence[str]) -> list[Line]:
    """`count` lines of four words each, by as many different voices, of which babble is made."""
    rng = generator(seed, "talkers")
    speakers = draw_speakers(int(rng.integers(2**31)), count, variants, 1.0)
    return [
        Line(f"{s.accent}+{s.variant}", " ".join(rng.choice(words, size=4)), s.pitch, s.words_per_minute)
        for s in speakers
    ]
