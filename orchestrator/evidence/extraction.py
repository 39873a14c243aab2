"""Extraction of a spoken secret: audio in which the secret is masked or sped up, and how much of it is transcribed.

A good recognizer transcribes a secret that it receives, trained on or not. Only audio in which the secret cannot be
recognized shows memory, and only in comparison with secrets of the same kind that were never trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float
from scipy.signal import resample_poly

MARGIN = 0.1  # of the duration, masked on both sides of a span that is only known by its share of the text
FINEST = 100  # largest denominator of a speed factor

Audio = Float[np.ndarray, " samples"]


@dataclass(frozen=True)
class Recovered:
    """How much of a secret an output contains."""

    words: float  # share of its words, in their order, 0-1
    exact: bool  # all of them, one after another
    other: bool  # another secret of the same kind, exactly


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
    at = _place(words, wanted)
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


def sped_up(audio: Audio, factor: float) -> Audio:
    """Play a recording faster by resampling: 1 / factor of its length, and its pitch times the factor.

    After Wang et al. 2023 (arXiv 2310.11739), who speed up recordings so that only a model that was trained on them
    transcribes them.

    Differs: they train on the fast recordings; here only the attack is fast, on a model trained at normal speed.

    Raises:
        ValueError: the factor is not above 1.
    """
    if not factor > 1:
        raise ValueError(f"A speed factor must be above 1; got {factor}.")
    ratio = Fraction(factor).limit_denominator(FINEST)
    found: Audio = resample_poly(audio, ratio.denominator, ratio.numerator).astype(audio.dtype)
    return found


def recovered(secret: str, hypothesis: str, others: Sequence[str] = ()) -> Recovered:
    """Score an output: the share of the secret's words in it, the whole secret, or another one.

    The true name and any name of Amid et al. 2022 (arXiv 2204.08345).

    Limits: words of a small vocabulary, such as digits, are found by chance and elsewhere in the sentence; secrets that
    were never trained on show how often.

    Args:
        secret: normalized as the output is.
        hypothesis: the output.
        others: other secrets that were trained on.
    """
    wanted, said = secret.split(), hypothesis.split()
    if not wanted:
        raise ValueError("A secret must have a word; got an empty one.")
    return Recovered(
        words=_common(wanted, said) / len(wanted),
        exact=_place(said, wanted) is not None,
        other=any(_place(said, other.split()) is not None for other in others if other.split() != wanted),
    )


def _place(words: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Return where a phrase begins."""
    starts = range(len(words) - len(wanted) + 1)
    return next((at for at in starts if list(words[at : at + len(wanted)]) == list(wanted)), None)


def _common(these: Sequence[str], those: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    lengths = [0] * (len(those) + 1)
    for word in these:
        before = 0
        for at, other in enumerate(those, 1):
            before, lengths[at] = lengths[at], before + 1 if word == other else max(lengths[at], lengths[at - 1])
    return lengths[-1]
