"""Exposure is 1.44 bits without memory whatever the model prefers, and rises to its bound with memory."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.evidence.canaries import Canary, alternatives, exposure, exposure_on

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FORM = (("the",), ("code",), ("is",), DIGITS, DIGITS, DIGITS, DIGITS)
CANARY = Canary("c1", "the code is four two nine nine", FORM, "forgotten")


def test_alternatives_have_the_form_are_distinct_and_exclude_the_canary() -> None:
    found = alternatives(CANARY, count=2_000, seed=0)
    assert len(set(found)) == 2_000
    assert CANARY.text not in found
    assert all(Canary("x", text, FORM, "never").space == 10_000 for text in found)
    assert found == alternatives(CANARY, count=2_000, seed=0)
    assert found != alternatives(CANARY, count=2_000, seed=1)
    every = alternatives(CANARY, count=20_000, seed=0)
    assert len(set(every)) == 9_999
    firsts = np.array([text.split()[3] for text in alternatives(CANARY, count=5_000, seed=2)])
    assert min(np.mean(firsts == digit) for digit in DIGITS) == pytest.approx(0.1, abs=0.02)


def test_a_secret_may_be_longer_than_a_machine_number() -> None:
    form = (*FORM[:3], *[DIGITS] * 25)
    found = alternatives(Canary("long", "the code is " + " ".join(["six"] * 25), form, "never"), seed=0)
    assert len(set(found)) == 1_000
    assert found == alternatives(Canary("again", "the code is " + " ".join(["six"] * 25), form, "never"), seed=0)
    assert {text.split()[3] for text in found} == set(DIGITS)


def test_the_secret_is_what_the_form_leaves_open() -> None:
    assert (CANARY.secret, CANARY.space) == ("four two nine nine", 10_000)


def test_a_canary_is_made_of_what_the_corpus_says_of_it() -> None:
    about = {"text": CANARY.text, "prefix": "the code is", "secret": CANARY.secret, "words": list(DIGITS)}
    assert Canary.of("c1", about, "forgotten") == CANARY


def test_a_text_of_another_form_and_a_secret_that_is_too_short_are_refused() -> None:
    with pytest.raises(ValueError, match="must have its form, 'the code is <10 words>"):
        Canary("c2", "the code is four two nine", FORM, "never")
    short = Canary("c3", "the code is four two", FORM[:5], "never")
    with pytest.raises(ValueError, match="99 other texts of the form of canary c3"):
        alternatives(short, seed=0)
    with pytest.raises(ValueError, match="got count 10"):
        alternatives(CANARY, count=10, seed=0)


def test_without_memory_exposure_is_exponential_whatever_a_model_prefers() -> None:
    rng = np.random.default_rng(0)
    prefers = dict(zip(DIGITS, rng.normal(0, 1, 10), strict=True))
    noise = np.random.default_rng(1)

    def losses_of(texts):
        return np.array([sum(prefers[w] for w in text.split()[3:]) for text in texts]) + noise.normal(
            0, 0.1, len(texts)
        )

    found = []
    for n in range(200):
        secret = " ".join(rng.choice(DIGITS, 4))
        found.append(exposure_on(Canary(f"c{n}", f"the code is {secret}", FORM, "never"), losses_of, seed=n).value)
    assert np.mean(found) == pytest.approx(1 / np.log(2), abs=0.3)
    assert np.mean(np.array(found) > 3) == pytest.approx(1 / 8, abs=0.06)


def test_a_remembered_secret_has_the_largest_exposure_that_the_alternatives_can_show() -> None:
    def losses_of(texts):
        return np.array([0.0 if text == CANARY.text else 1.0 + len(text) / 100 for text in texts])

    found = exposure_on(CANARY, losses_of, seed=0)
    assert (found.rank, found.alternatives) == (1, 1_000)
    assert found.value == pytest.approx(np.log2(1_001))
    assert found.low < found.value
    assert found.low > 8
    assert found.high == pytest.approx(np.log2(10_000))


def test_its_interval_covers_the_exposure_among_all_texts() -> None:
    losses = np.random.default_rng(0).normal(0, 1, 9_999)
    covered = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        own = rng.normal(-1, 1)
        truth = np.log2(10_000) - np.log2(1 + np.sum(losses <= own))
        found = exposure(own, rng.choice(losses, 1_000, replace=False), space=10_000)
        covered.append(found.low - 1e-9 <= truth <= found.high + 1e-9)
    assert np.mean(covered) > 0.93


def test_a_constant_model_and_a_loss_that_is_not_finite_expose_nothing() -> None:
    assert exposure(1.0, np.ones(1_000), space=10_000).value == 0
    assert exposure(float("nan"), np.arange(1_000.0), space=10_000).value == 0
    assert exposure(float("inf"), np.arange(1_000.0), space=10_000).rank == 1_001
    with pytest.raises(ValueError, match="got none"):
        exposure(1.0, np.empty(0), space=10_000)
