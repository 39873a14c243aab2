from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from orchestrator.evidence.pooled import Attacked
from orchestrator.evidence.removal import (
    AUC_BOUND,
    CANNOT_TELL,
    EVIDENCE,
    EXIT_CODES,
    FEWEST,
    NO_EVIDENCE,
    Comparison,
    Reading,
    decide,
    membership,
    recognition,
)
from orchestrator.evidence.roc import Estimate


def comparison(original, child, half=0.05, **changed):
    """A membership comparison with these AUCs and intervals of one width."""
    readings = [Reading(v, (v - half, v + half), (v - 0.8 * half, v + 0.8 * half)) for v in (original, child)]
    made = Comparison(
        name="loss", without=0.5, lowest=0.5 - AUC_BOUND, bound=AUC_BOUND, original=readings[0], child=readings[1],
        change=Estimate(child - original, child - original - 0.01, child - original + 0.01), forgotten=100, unheard=100,
    )  # fmt: skip
    return replace(made, **changed)


def attacked(rng, memory, members=150, others=300):
    """Scores whose distributions are `memory` standard deviations apart."""
    return Attacked(
        members=rng.standard_normal(members) + memory, others=rng.standard_normal(others),
        member_ids=np.arange(members).astype(str), other_ids=np.arange(others).astype(str),
        member_classes=np.arange(members) % 3, other_classes=np.arange(others) % 3,
    )  # fmt: skip


def test_a_child_at_chance_whose_interval_is_inside_the_bound_has_no_evidence_left():
    assert decide([comparison(0.9, 0.5)]).verdict == NO_EVIDENCE


def test_a_child_at_chance_with_a_wide_interval_cannot_be_judged():
    assert decide([comparison(0.9, 0.5, half=0.2)]).verdict == CANNOT_TELL


def test_memory_in_the_child_is_evidence_even_where_another_comparison_shows_none():
    assert decide([comparison(0.9, 0.5), comparison(0.6, 0.7, required=False)]).verdict == EVIDENCE


def test_recordings_that_are_less_known_than_unheard_speech_are_given_away():
    decision = decide([comparison(0.9, 0.2)])
    assert decision.verdict == EVIDENCE
    assert "gives them away" in decision.reasons[0]


def test_nothing_measurable_in_the_original_cannot_be_judged_and_says_what_could_have_been_seen():
    decision = decide([comparison(0.52, 0.5, half=0.05)])
    assert decision.verdict == CANNOT_TELL
    assert "could not have been seen" in decision.reasons[0]


def test_the_bound_is_at_most_half_of_what_the_original_showed():
    assert comparison(0.56, 0.5).limit == pytest.approx(0.53)
    assert comparison(0.95, 0.5).limit == pytest.approx(0.5 + AUC_BOUND)
    assert decide([comparison(0.56, 0.5)]).verdict == CANNOT_TELL


def test_a_child_that_is_not_below_the_original_has_no_verdict_of_removal():
    assert decide([comparison(0.9, 0.5, change=Estimate(-0.1, -0.3, 0.1))]).verdict == CANNOT_TELL


@pytest.mark.parametrize("side", ["forgotten", "unheard"])
def test_too_few_recordings_on_a_side_cannot_be_judged(side):
    few = comparison(0.9, 0.5, **{side: FEWEST - 1})
    assert "Too few recordings" in decide([few]).reasons[0]
    assert decide([few]).verdict == CANNOT_TELL


def test_recordings_of_groups_that_only_one_side_has_are_not_counted():
    run = attacked(np.random.default_rng(4), 1.0, members=30, others=60)
    alone = replace(run, other_classes=np.where(np.arange(60) % 3 == 2, 7, np.arange(60) % 3))
    found = membership("loss", alone, alone, tests=1)
    assert (found.forgotten, found.unheard) == (20, 40)


def test_the_smallest_effect_does_not_grow_with_the_correction_of_intervals_alone():
    """It is (z of the interval + z of the power) standard errors; the standard error is that of the interval."""
    run = attacked(np.random.default_rng(5), 0.0)
    one, three = (membership("loss", run, run, tests=tests) for tests in (1, 3))
    halves = [(c.original.detects[1] - c.original.detects[0]) / 2 for c in (one, three)]
    for half, confidence, found in zip(halves, (0.95, 1 - 0.05 / 3), (one, three), strict=True):
        z = norm.ppf((1 + confidence) / 2)
        assert found.smallest_effect == pytest.approx(half / z * (z + norm.ppf(0.8)))


def test_without_a_fair_comparison_the_reason_is_given():
    assert decide([comparison(0.9, 0.5)], "Nobody else was recorded.").reasons == ("Nobody else was recorded.",)
    assert decide([]).verdict == CANNOT_TELL


def test_each_verdict_has_its_exit_code():
    assert [EXIT_CODES[v] for v in (NO_EVIDENCE, EVIDENCE, CANNOT_TELL)] == [0, 3, 4]


def test_an_unchanged_model_is_never_cleared_whatever_its_memory():
    rng = np.random.default_rng(0)
    for memory in np.linspace(0, 2, 60):
        run = attacked(rng, memory)
        assert decide([membership("loss", run, run, tests=1)]).verdict != NO_EVIDENCE


def test_measurable_memory_in_an_unchanged_model_is_always_evidence():
    rng = np.random.default_rng(1)
    for memory in np.linspace(0.2, 2, 40):
        run = attacked(rng, memory)
        found = membership("loss", run, run, tests=3)
        assert found.measurable == (decide([found]).verdict == EVIDENCE)


def test_models_without_memory_are_cleared_in_most_and_accused_in_few_draws():
    rng = np.random.default_rng(2)
    verdicts = [
        decide([membership("loss", attacked(rng, 2.0), attacked(rng, 0.0), tests=1)]).verdict for _ in range(200)
    ]
    assert verdicts.count(NO_EVIDENCE) >= 160
    assert verdicts.count(EVIDENCE) <= 14  # 5 % two-sided, of which half is above, and 3 standard errors


def test_a_comparison_with_retrain_subtracts_what_its_speakers_explain():
    rng = np.random.default_rng(3)
    easier = attacked(rng, 1.0)  # the members are easier for every model
    child = replace(easier, members=easier.members + 0.05 * rng.standard_normal(150))
    original = replace(easier, members=easier.members + 3.0)
    assert decide([membership("loss", original, child, tests=1)]).verdict == EVIDENCE
    assert decide([membership("loss", original, child, tests=1, retrained=easier)]).verdict == NO_EVIDENCE


@pytest.mark.parametrize(("named", "verdict"), [(0, NO_EVIDENCE), (4, CANNOT_TELL), (25, EVIDENCE), (30, EVIDENCE)])
def test_a_class_that_is_still_named_is_evidence(named, verdict):
    found = recognition("named", 30, named, 30, tests=2, forgotten=100)
    assert decide([found]).verdict == verdict


def test_a_class_with_few_unheard_recordings_cannot_be_cleared():
    assert decide([recognition("named", 12, 0, 12, tests=1, forgotten=100)]).verdict == CANNOT_TELL


def test_nothing_is_cleared_where_a_comparison_was_left_out_for_too_few_recordings():
    few = comparison(0.9, 1.0, required=False, forgotten=FEWEST - 1, name="relearning")
    decision = decide([comparison(0.9, 0.5), few])
    assert decision.verdict == CANNOT_TELL
    assert "relearning: left out, with 9 forgotten and 100 unheard recordings" in decision.reasons[0]
    assert decide([comparison(0.9, 0.9), few]).verdict == EVIDENCE
    enough = comparison(0.9, 0.5, required=False, forgotten=FEWEST)
    assert decide([comparison(0.9, 0.5), enough]).verdict == NO_EVIDENCE
