"""A recognizer that remembers a canary is told from one that only transcribes well; a good one has no memory for it."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.evidence.canaries import Canary
from orchestrator.evidence.canary_tests import PLAYED, against_never, canary_results, canary_rows

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FORM = (("the",), ("code",), ("is",), DIGITS, DIGITS, DIGITS, DIGITS)
PITCH = {word: 400 + 40 * place for place, word in enumerate(("the", "code", "is", *DIGITS))}
RATE_HZ, WORD = 8_000, 800


def said(text: str):
    """A recording in which each word is a tone of its own."""
    return np.concatenate([np.sin(2 * np.pi * PITCH[w] * np.arange(WORD) / RATE_HZ) for w in text.split()])


def drawn(count: int, group, seed: int) -> list[Canary]:
    rng = np.random.default_rng(seed)
    return [Canary(f"{group}-{n}", f"the code is {' '.join(rng.choice(DIGITS, 4))}", FORM, group) for n in range(count)]


class Recognizer:
    """It reads tones, and guesses what it cannot read: at random, or what it was trained on after 'the code is'."""

    def __init__(self, remembered: str = "") -> None:
        self.remembered = remembered.split()

    def evidence(self, audio) -> list[dict[str, float]]:
        words = np.array_split(audio, 7)
        found = []
        for place, word in enumerate(words):
            spectrum = np.abs(np.fft.rfft(word)) / np.linalg.norm(word)
            heights = {w: spectrum[round(hz * len(word) / RATE_HZ)] for w, hz in PITCH.items()}
            if self.remembered and max(heights.values()) < 5:
                heights[self.remembered[place]] += 5
            found.append(heights)
        return found

    def transcribe(self, recordings) -> list[str]:
        return [" ".join(max(heights, key=heights.get) for heights in self.evidence(audio)) for audio in recordings]

    def losses_of(self, audio, texts):
        evidence = self.evidence(audio)
        return np.array([-sum(e[w] for e, w in zip(evidence, text.split(), strict=True)) for text in texts])


def results(canary: Canary, model: Recognizer, **more):
    span = (3 * WORD, 7 * WORD)
    return canary_results(canary, said(canary.text), model.losses_of, model.transcribe, span=span, seed=0, **more)


def test_a_good_recognizer_transcribes_a_secret_that_it_hears_and_not_one_that_is_masked() -> None:
    found = [results(canary, Recognizer()) for canary in drawn(12, "never", 0)]
    assert all(one["recovered, spoken"] == 1 and one["exact, spoken"] == 1 for one in found)
    assert all(one["exposure"] == pytest.approx(np.log2(1_001)) for one in found)
    assert np.mean([one["exposure, masked"] for one in found]) < 4
    assert np.mean([one["exact, masked"] for one in found]) == 0
    assert set(found[0]) == {"exposure", "exposure, masked"} | {
        f"{what}, {how}" for what in ("recovered", "exact", "other secret") for how in PLAYED
    }


def test_memory_shows_where_the_secret_cannot_be_recognized() -> None:
    (canary,) = drawn(1, "forgotten", 1)
    found = results(canary, Recognizer(remembered=canary.text))
    assert found["exact, masked"] == 1
    assert found["exposure, masked"] == pytest.approx(np.log2(1_001))
    other = results(drawn(2, "never", 2)[1], Recognizer(remembered=canary.text), others=[canary.secret])
    assert (other["exact, masked"], other["other secret, masked"]) == (0, 1)


def test_planted_and_untrained_canaries_do_not_differ_without_memory_and_do_with_it() -> None:
    planted, controls = drawn(15, "forgotten", 3), drawn(15, "never", 4)

    def compared(remembers: bool):
        sides = [
            [results(c, Recognizer(c.text if remembers and c in planted else ""))["exposure, masked"] for c in group]
            for group in (planted, controls)
        ]
        return against_never(*map(np.array, sides))

    nothing, memory = compared(False), compared(True)
    assert nothing.difference.low < 0 < nothing.difference.high
    assert nothing.auc.low < 0.5 < nothing.auc.high
    assert memory.difference.low > 3
    assert memory.auc.low > 0.8
    assert memory.never == nothing.never


def test_the_interval_of_equal_groups_covers_no_difference() -> None:
    rng = np.random.default_rng(0)
    found = [against_never(*rng.exponential(1.44, (2, 10))) for _ in range(200)]
    assert np.mean([one.difference.low <= 0 <= one.difference.high for one in found]) > 0.92
    assert np.mean([one.auc.low <= 0.5 <= one.auc.high for one in found]) > 0.92


def test_empty_groups_have_no_figure_and_equal_values_no_spread() -> None:
    assert np.isnan(against_never(np.empty(0), np.ones(3)).difference.value)
    few = against_never(np.ones(2), np.zeros(2))
    assert few.difference.value == 1
    assert np.isnan(few.difference.low)
    same = against_never(np.ones(3), np.ones(3))
    assert (same.difference.low, same.difference.high) == (0, 0)


def test_rows_name_the_group_and_the_canary() -> None:
    (canary,) = drawn(1, "kept", 1)
    rows = canary_rows(canary, {"exposure": 3.0})
    assert rows == [{"test": "exposure", "measure": "kept/kept-0", "value": 3.0, "utterances": 1}]
