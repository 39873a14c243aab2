"""Extraction of a spoken secret: audio in which the secret is masked or sped up, and how much of it is transcribed.

A good recognizer transcribes a secret that it receives, trained on or not. Only audio in which the secret cannot be
recognized shows memory, and only in comparison with secrets of the same kind that were never trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from scipy.signal import resample_poly

from orchestrator.tasks.masking import Audio, place_of

FINEST = 100  # largest denominator of a speed factor


@dataclass(frozen=True)
class Recovered:
    """How much of a secret an output contains."""

    words: float  # share of its words, in their order, 0-1
    exact: bool  # all of them, one after another
    other: bool  # another secret of the same kind, exactly


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
        exact=place_of(said, wanted) is not None,
        other=any(place_of(said, other.split()) is not None for other in others if other.split() != wanted),
    )


def _common(these: Sequence[str], those: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    lengths = [0] * (len(those) + 1)
    for word in these:
        before = 0
        for at, other in enumerate(those, 1):
            before, lengths[at] = lengths[at], before + 1 if word == other else max(lengths[at], lengths[at - 1])
    return lengths[-1]
