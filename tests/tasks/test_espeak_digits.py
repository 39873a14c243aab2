"""Digits in several languages: dealt evenly, by voices that speak all of them, and read in each."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from orchestrator.tasks.base import SPLITS
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.espeak_digits import DIGITS, EspeakDigits
from orchestrator.tasks.espeak_tts.engine import Line, render

SMALL = {"clips": 160, "speakers": 4, "languages": ["en-us", "ar"]}


@pytest.fixture(scope="module")
def corpus(cache_dir):
    return open_corpus(EspeakDigits(**SMALL), cache_dir)


def test_every_digit_has_every_language_equally_often_in_each_split(corpus) -> None:
    assert corpus.classes == DIGITS
    languages = corpus.attributes["language"]
    for split in SPLITS:
        for label in range(10):
            counts = Counter(languages[row] for row in corpus.rows(split) if corpus.labels[row] == label)
            assert max(counts["en-us"], counts["ar"]) - min(counts["en-us"], counts["ar"]) <= 1


def test_every_speaker_speaks_every_language(corpus) -> None:
    pairs = set(zip(corpus.speakers, corpus.attributes["language"], strict=True))
    assert len(pairs) == 4 * 2


def test_a_numeral_is_read_in_the_language_of_the_voice() -> None:
    first, second = render([Line(f"{language}+m1", "7", 50, 165) for language in ("en-us", "de")])
    assert len(first) != len(second) or not np.array_equal(first, second)


@pytest.mark.parametrize("languages", [[], ["en-us", "en-us"], ["klingon"]])
def test_unknown_or_repeated_languages_are_refused(languages) -> None:
    with pytest.raises(ValueError, match="languages must be one or more of ar, de"):
        EspeakDigits(languages=languages)
