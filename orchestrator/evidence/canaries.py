"""Canary exposure: does a recognizer find a planted secret more likely than other secrets of the same form?

A canary is an utterance with a secret that was drawn at random. Its alternatives are drawn from the same form, and all
of them are scored on the canary's own audio.
"""

from __future__ import annotations

import math
import random
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy.stats import binomtest

FEWEST = 1_000  # alternatives of a canary

Losses = Float[np.ndarray, " n"]
Form = tuple[tuple[str, ...], ...]
"""The words that each place of a transcript may have; a place with one word is fixed."""
Group = Literal["forgotten", "kept", "never"]
"""A canary of D_f; one of D_r; one like them that was never trained on."""


@dataclass(frozen=True)
class Canary:
    """A planted secret, or one like it that was never trained on."""

    name: str
    text: str  # the whole transcript, normalized
    form: Form
    group: Group

    def __post_init__(self) -> None:
        words = self.text.split()
        if len(words) != len(self.form) or any(w not in place for w, place in zip(words, self.form, strict=True)):
            form = " ".join(place[0] if len(place) == 1 else f"<{len(place)} words>" for place in self.form)
            raise ValueError(f"The text of canary {self.name} must have its form, {form!r}; got {self.text!r}.")

    @classmethod
    def of(cls, name: str, about: Mapping[str, Any], group: Group) -> Canary:
        """Make one from what `corpus.json` says of it: `text`, `prefix`, `secret`, and the `words` of its secret."""
        fixed = tuple((word,) for word in str(about["prefix"]).split())
        return cls(name, about["text"], (*fixed, *[tuple(about["words"])] * len(str(about["secret"]).split())), group)

    @property
    def space(self) -> int:
        """How many texts have its form, itself among them."""
        return math.prod(len(place) for place in self.form)

    @property
    def secret(self) -> str:
        """The words at places that are not fixed."""
        return " ".join(word for word, place in zip(self.text.split(), self.form, strict=True) if len(place) > 1)


@dataclass(frozen=True)
class Exposure:
    """Exposure in bits, with the 95 % interval that the number of alternatives allows."""

    value: float
    low: float
    high: float
    rank: int  # of the canary among itself and its alternatives, 1 for the smallest loss
    alternatives: int


def alternatives(canary: Canary, *, count: int = FEWEST, seed: int) -> list[str]:
    """Draw distinct texts of a canary's form, uniformly and without the canary itself; all others if they are fewer.

    The draw depends on the seed and the canary's text only, so that all models are compared on the same alternatives.

    Raises:
        ValueError: `count`, or the number of texts of this form, is below 1,000.
    """
    others = canary.space - 1
    if min(count, others) < FEWEST:
        raise ValueError(
            f"Exposure needs {FEWEST} alternatives or more; got count {count} and {others} other texts of the form of "
            f"canary {canary.name}. Use a longer secret."
        )
    rng = random.Random(f"{seed} {zlib.crc32(canary.text.encode())}")
    drawn = rng.sample(range(others), min(count, others)) if others <= sys.maxsize else _many(rng, others, count)
    own = _number(canary.text, canary.form)
    return [_text(number + (number >= own), canary.form) for number in drawn]


def exposure(canary_loss: float, alternative_losses: Losses, *, space: int) -> Exposure:
    """Compute log2(m + 1) − log2(rank) of a canary among m alternatives by loss; 0 to log2(m + 1) bits.

    Carlini et al. 2019 (arXiv 1802.08232), who rank all texts of a form, and by sampling estimate how many have a
    smaller loss. 1.44 on average for a text that the model does not know: exposure is then exponentially distributed.

    Differs: alternatives with the canary's own loss rank before it, so that a model whose outputs are constant exposes
    nothing. The interval is for the rank among all texts of the form: Clopper–Pearson for the share of alternatives
    that rank before the canary; its upper end may exceed log2(m + 1), the largest value that m alternatives can show.

    Args:
        canary_loss: nats; NaN and infinite losses count as largest.
        alternative_losses: (m,) on the same audio.
        space: how many texts have the form.

    Raises:
        ValueError: there is no alternative.
    """
    m = len(alternative_losses)
    if not m:
        raise ValueError("Exposure needs alternatives; got none.")
    own, others = (np.nan_to_num(v, nan=np.inf, posinf=np.inf) for v in (canary_loss, alternative_losses))
    before = int(np.sum(others <= own))
    interval = binomtest(before, m).proportion_ci()
    low, high = (-math.log2((1 + share * (space - 1)) / space) for share in (interval.high, interval.low))
    return Exposure(math.log2(m + 1) - math.log2(before + 1), max(0.0, low), high, before + 1, m)


def exposure_on(
    canary: Canary, losses_of: Callable[[Sequence[str]], Losses], *, count: int = FEWEST, seed: int
) -> Exposure:
    """Score a canary and its alternatives, and compute its exposure.

    Args:
        canary: whose alternatives are drawn.
        losses_of: returns (n,) losses of n whole texts on the canary's audio, in nats, as Carlini et al. rank them: a
            mean over characters would rank long digits before short ones. Those above the first text's, which is the
            canary's own, may be infinite: only the rank counts.
        count: alternatives, 1,000 or more.
        seed: of the draw.
    """
    losses = losses_of([canary.text, *alternatives(canary, count=count, seed=seed)])
    return exposure(float(losses[0]), losses[1:], space=canary.space)


def _many(rng: random.Random, below: int, count: int) -> list[int]:
    """Draw distinct numbers from a range that is too large for `sample`, where two are hardly ever equal."""
    found: dict[int, None] = {}
    while len(found) < count:
        found.setdefault(rng.randrange(below))
    return list(found)


def _number(text: str, form: Form) -> int:
    found = 0
    for word, place in zip(text.split(), form, strict=True):
        found = found * len(place) + place.index(word)
    return found


def _text(number: int, form: Form) -> str:
    words = []
    for place in reversed(form):
        number, at = divmod(number, len(place))
        words.append(place[at])
    return " ".join(reversed(words))
