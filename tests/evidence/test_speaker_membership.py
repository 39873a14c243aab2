"""Speakers, not recordings, are the units: at chance without membership, and sharper than single recordings."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.evidence.roc import auc
from orchestrator.evidence.speaker_membership import FEWEST, speaker_attack

CLIPS = 8


def recordings(speakers: int, shift: float, seed: int, words=None):
    """Scores of `speakers` members and as many others: each has a level of its own, members are `shift` above it."""
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(2 * speakers), CLIPS)
    is_member = people < speakers
    labels = rng.integers(0, 4, len(people)) if words is None else words(rng, is_member)
    ease = np.array([0.0, 2.0, -2.0, 4.0])[labels]
    scores = ease + rng.normal(0, 0.3, 2 * speakers)[people] + rng.normal(0, 1, len(people)) + shift * is_member
    return scores, np.array([f"s{p}" for p in people]), labels, is_member


def test_without_membership_it_is_at_chance_and_its_interval_covers_chance() -> None:
    found = [speaker_attack(*recordings(10, 0.0, seed)).auc for seed in range(200)]
    assert np.mean([f.value for f in found]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([f.low <= 0.5 <= f.high for f in found]) > 0.92


def test_planted_membership_is_found_by_speaker_where_single_recordings_hide_it() -> None:
    scores, speakers, labels, is_member = recordings(20, 1.0, 0)
    found = speaker_attack(scores, speakers, labels, is_member)
    assert found.auc.low > 0.7
    assert found.auc.value > auc(scores[is_member], scores[~is_member]).value + 0.2
    assert (found.members, found.others) == (20, 20)


def test_speakers_who_say_easier_words_are_no_members_for_that() -> None:
    def easier(rng, is_member):
        return np.where(rng.random(len(is_member)) < np.where(is_member, 0.8, 0.2), 3, 2)

    found = [speaker_attack(*recordings(10, 0.0, seed, easier)).auc.value for seed in range(100)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)


def test_the_rate_at_one_percent_needs_a_hundred_speakers_never_trained_on() -> None:
    assert np.isnan(speaker_attack(*recordings(99, 3.0, 0)).tpr_at_1_percent)
    assert speaker_attack(*recordings(100, 3.0, 0)).tpr_at_1_percent > 0.9


def test_too_few_speakers_give_no_figure_but_are_counted() -> None:
    few = speaker_attack(*recordings(FEWEST - 1, 3.0, 0))
    assert np.isnan(few.auc.value)
    assert few.members == FEWEST - 1
    assert speaker_attack(*recordings(FEWEST, 3.0, 0)).auc.value > 0.5


def test_a_speaker_on_both_sides_is_refused() -> None:
    scores, speakers, labels, is_member = recordings(3, 0.0, 0)
    speakers[0] = speakers[-1]
    with pytest.raises(ValueError, match="on both are s5"):
        speaker_attack(scores, speakers, labels, is_member)
