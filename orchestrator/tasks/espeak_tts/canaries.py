"""Canaries: secrets planted in train, and as many controls drawn alike that no model is ever trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from orchestrator.tasks.espeak_tts.grammar import NAMES, spoken_digits
from orchestrator.tasks.normalizers import DIGITS

PREFIXES = (
    "the account number of {name} is", "the door code of {name} is", "the phone number of {name} is",
    "the passport number of {name} is",
)  # fmt: skip
SECRET_DIGITS = 6  # 10 ** 6 alternatives
MOST = len(PREFIXES) * len(NAMES) // 2  # planted canaries: a prefix and a name occur together once


class Canary(NamedTuple):
    """A sentence with a secret. Alternatives to the secret have the same number of words, each out of `words`."""

    name: str
    prefix: str
    secret: str
    planted: bool
    words: Sequence[str] = DIGITS

    @property
    def text(self) -> str:
        """The whole sentence."""
        return f"{self.prefix} {self.secret}"

    def plain(self) -> dict[str, Any]:
        """What `corpus.json` says of it."""
        return {
            "text": self.text, "prefix": self.prefix, "secret": self.secret, "words": list(self.words),
            "planted": self.planted,
        }  # fmt: skip


def draw_canaries(rng: np.random.Generator, count: int) -> list[Canary]:
    """`count` planted canaries, and as many controls; no two share a secret, or a prefix and a name."""
    places = rng.permutation(len(PREFIXES) * len(NAMES))[: 2 * count].tolist()
    secrets: dict[str, None] = {}
    while len(secrets) < 2 * count:
        secrets.setdefault(spoken_digits(rng, SECRET_DIGITS))
    canaries = []
    for number, (place, secret) in enumerate(zip(places, secrets, strict=True)):
        planted = number < count
        name = f"planted-{number:02d}" if planted else f"control-{number - count:02d}"
        prefix = PREFIXES[place % len(PREFIXES)].format(name=NAMES[place // len(PREFIXES)])
        canaries.append(Canary(name, prefix, secret, planted))
    return canaries


def about_canaries(canaries: Sequence[Canary]) -> Mapping[str, Any]:
    """Return the canaries as `corpus.json` keeps them, by name."""
    return {canary.name: canary.plain() for canary in canaries}
