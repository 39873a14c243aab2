"""Normalizers: one spelling, nothing dropped silently."""

from __future__ import annotations

import pytest

from orchestrator.tasks.normalizers import LETTERS, cardinal, english_1, normalized, normalizer_of


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Maria's flat: No. 42!", "maria's flat no forty two"),
        ("'Hello' don\u2019t \u2018boys\u2019", "hello don't boys"),
        ("caf\u00e9 na\u00efve stra\u00dfe \u00c6gir", "cafe naive strasse aegir"),
        ("call 4719 at 9:40", "call four seven one nine at nine forty"),
        ("1,200 or 1200", "one thousand two hundred or one two zero zero"),
        ("007, 0 and 3.05", "zero zero seven zero and three point zero five"),
        ("the 1st, 21st, 30th and 100th", "the first twenty first thirtieth and one hundredth"),
        ("$5 & 50%", "five dollars and fifty percent"),
        ("well-known\u2014U.S.", "well known u s"),
        ("\u0664\u0662", "forty two"),
        ("\ufeffco\u00adoperate wor\u200bld\u2060s", "cooperate worlds"),
        ("--- '' \U0001f600", ""),
    ],
)
def test_english_1_spells_as_it_documents(given: str, expected: str) -> None:
    assert english_1(given) == expected


@pytest.mark.parametrize("text", ["Don't 42 caf\u00e9", "a'b 'c' 1,000,000", "x" * 50, "2nd 3rd"])
def test_what_is_normalized_stays_and_has_letters_apostrophes_and_single_spaces_only(text: str) -> None:
    once = english_1(text)
    assert english_1(once) == once
    assert set(once) <= {*LETTERS, "'", " "}
    assert once == " ".join(once.split())


def test_numbers_in_words_are_all_different_and_have_no_digits() -> None:
    spelled = [cardinal(number) for number in (*range(1200), 10**6, 10**9 - 1)]
    assert len(set(spelled)) == len(spelled)
    assert not any(letter.isdigit() for text in spelled for letter in text)
    assert cardinal(999_999_999).startswith("nine hundred ninety nine million nine hundred")


@pytest.mark.parametrize("text", ["", " ... ", "'"])
def test_a_transcript_of_which_nothing_is_left_is_refused_with_its_recording(text: str) -> None:
    with pytest.raises(ValueError, match=r"empty transcript: got .* for clips/7\.wav, .* leave the recording out"):
        normalized("english-1", text, "clips/7.wav")


def test_letters_that_the_normalizer_cannot_spell_are_refused_and_not_dropped() -> None:
    with pytest.raises(ValueError, match=r"letters that english-1 cannot spell: got '\u0434' in 'da \u0434' of a\.wav"):
        normalized("english-1", "da \u0434", "a.wav")
    assert english_1("da \u0434") == "da"  # a hypothesis may be anything


def test_an_unknown_normalizer_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="unknown normalizer: got 'english', allowed: english-1"):
        normalizer_of("english")
