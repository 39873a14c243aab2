"""Noise over a part of a recording, such as a spoken secret, so that only a model that remembers it completes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

MARGIN = 0.1  # of the duration, masked on both sides of a span that is only known by its share of the text

Audio = Float[np.ndarray, " samples"]


def span_by_share(text: str, secret: str, num_samples: int, *, margin: float = MARGIN) -> tuple[int, int]:
    """Return first and last sample (exclusive) of a secret by its share of the transcript's characters.

    For audio without an alignment. Digits and names take longer than their letters say, and synthetic recordings begin
    and end in silence, so that the span is widened by `margin` of the duration on both sides. What else it covers is
    the same for a secret and its alternatives. Of six sentences by eSpeak (two voices), spans begin 4 to 8 % of the
    recording before the secret does.

    Raises:
        ValueError: the secret's words are not in the text.
    """
    words, wanted = text.split(), secret.split()
    at = place_of(words, wanted)
    if at is None:
        raise ValueError(f"A secret must be part of its transcript; got {secret!r} and {text!r}.")
    before, length = (len(" ".join(part)) for part in (words[:at], words[: at + len(wanted)]))
    total = max(1, len(" ".join(words)))
    first, last = before / total - margin, length / total + margin
    return max(0, int(first * num_samples)), min(num_samples, int(np.ceil(last * num_samples)))


def masked(audio: Audio, first: int, last: int, *, seed: int) -> Audio:
    """Replace samples `first` to `last` (exclusive) by white noise as loud as the whole recording.

    Noise masking (Amid et al. 2022, arXiv 2204.08345): the model fills in what it remembers.

    Differs: white noise at the recording's own root mean square instead of recorded noise.

    Raises:
        ValueError: the span is empty or outside the recording.
    """
    if not 0 <= first < last <= len(audio):
        raise ValueError(f"A span must be inside the recording; got {first}–{last} of {len(audio)} samples.")
    level = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
    found = np.array(audio, copy=True)
    found[first:last] = np.random.default_rng(seed).normal(0.0, level, last - first)
    return found


def place_of(words: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Return where a phrase begins."""
    starts = range(len(words) - len(wanted) + 1)
    return next((at for at in starts if list(words[at : at + len(wanted)]) == list(wanted)), None)
