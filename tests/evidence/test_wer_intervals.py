"""Intervals of WER cover the rate of new speakers, and paired ones see what single ones do not."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.evidence.wer import Edits
from orchestrator.evidence.wer_intervals import wer_difference, wer_interval

CLIPS = 5


def counted(errors, words) -> Edits:
    nothing = np.zeros_like(words)
    return Edits(
        words=words,
        word_substitutions=errors,
        word_deletions=nothing,
        word_insertions=nothing,
        characters=words,
        character_edits=errors,
        empty_outputs=nothing,
        looping_outputs=nothing,
    )


def recordings(speakers: int, seed: int, better: float = 0.0):
    """Errors of two models; speakers and utterances differ in how difficult they are, for both models alike."""
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(speakers), CLIPS)
    words = rng.integers(4, 12, len(people))
    rate = np.clip(0.25 + rng.normal(0, 0.08, speakers)[people], 0, 1)
    shared = rng.binomial(words, rate)
    one, other = (np.minimum(words, shared + rng.binomial(1, 0.2 + extra, len(words))) for extra in (0.0, better))
    return counted(one, words), counted(other, words), people.astype(str)


def test_its_interval_covers_the_rate_of_the_speakers_that_they_are_drawn_from() -> None:
    everybody = recordings(20_000, 0)[0].total()
    truth = everybody.wer
    found = [wer_interval(*recordings(30, seed)[::2], seed=seed) for seed in range(1, 151)]
    assert np.mean([one.low <= truth <= one.high for one in found]) > 0.9
    assert np.mean([one.value for one in found]) == pytest.approx(truth, abs=0.005)


def test_utterances_of_one_speaker_are_no_independent_evidence() -> None:
    found, _, people = recordings(30, 3)
    by_speaker = wer_interval(found, people, seed=0)
    by_utterance = wer_interval(found, np.arange(len(people)).astype(str), seed=0)
    assert by_speaker.high - by_speaker.low > by_utterance.high - by_utterance.low


def test_two_equal_models_differ_by_less_than_their_interval_and_a_better_one_by_more() -> None:
    equal = [wer_difference(*recordings(30, seed), seed=seed) for seed in range(100)]
    assert np.mean([one.low <= 0 <= one.high for one in equal]) > 0.9
    better = [wer_difference(*recordings(30, seed, better=0.4), seed=seed) for seed in range(50)]
    assert np.mean([one.high < 0 for one in better]) > 0.9
    alone = [wer_interval(*recordings(30, seed)[::2], seed=seed) for seed in range(50)]
    assert better[0].high - better[0].low < alone[0].high - alone[0].low


def test_too_few_speakers_have_a_rate_and_no_interval() -> None:
    found, other, people = recordings(2, 0)
    estimate = wer_interval(found, people, seed=0)
    assert not np.isnan(estimate.value)
    assert np.isnan([estimate.low, estimate.high]).all()
    assert np.isnan(wer_interval(found.where([]), people[:0], seed=0).value)
    with pytest.raises(ValueError, match="the same utterances"):
        wer_difference(found, other.where(np.arange(9)), people, seed=0)
