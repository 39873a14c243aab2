"""An attribute is a value of a column or a band of its numbers; all of D that has it is forgotten, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from forgetting.corpora import keywords, people

from orchestrator.forgetting.attributes import Attribute
from orchestrator.forgetting.sets import ForgetRequest, draw

ACCENTS = np.array(["en", "en-us", "scottish", None], dtype=object)


def spoken(seed: int = 3):
    corpus, rng = keywords(), np.random.default_rng(seed)
    count = len(corpus.labels)
    pitch = rng.integers(0, 100, size=count).astype(np.float64)
    pitch[:10] = np.nan
    return replace(corpus, attributes={"accent": ACCENTS[rng.integers(4, size=count)], "pitch": pitch})


def request(**settings) -> ForgetRequest:
    return ForgetRequest(kind="attribute", **settings)


def test_a_value_selects_all_of_train_that_has_it() -> None:
    corpus = spoken()
    found = draw(request(attribute="accent", value="scottish"), corpus, 0)
    assert set(found.rows) == set(corpus.train[corpus.attributes["accent"][corpus.train] == "scottish"])
    assert found.attribute == Attribute("accent", "scottish")
    assert found.description.startswith("utterances with accent = scottish: ")


def test_without_a_value_seeds_draw_one_each_and_every_draw_repeats() -> None:
    corpus = spoken()
    drawn = [draw(request(attribute="accent"), corpus, seed) for seed in range(12)]
    assert {found.attribute.value for found in drawn} == {"en", "en-us", "scottish"}
    assert np.array_equal(draw(request(attribute="accent"), corpus, 5).rows, drawn[5].rows)


def test_a_band_has_its_lower_end_and_not_its_upper_and_no_missing_value() -> None:
    corpus = spoken()
    pitch = corpus.attributes["pitch"]
    found = draw(request(attribute="pitch", at_least=30, below=70), corpus, 0)
    assert set(found.rows) == {row for row in corpus.train if 30 <= pitch[row] < 70}
    assert str(found.attribute) == "30 ≤ pitch < 70"
    assert set(found.attribute.groups(pitch)) == {"30 ≤ pitch < 70", "others", ""}


def test_a_number_may_be_named_as_a_value() -> None:
    corpus = replace(spoken(), attributes={"take": np.arange(600) % 4.0})
    rows = draw(request(attribute="take", value=2), corpus, 0).rows
    assert set(corpus.attributes["take"][rows]) == {2.0}


def test_classes_that_have_nothing_else_are_forgotten_classes() -> None:
    corpus = people(6)
    gender = np.where(corpus.labels < 2, "female", "male").astype(object)
    found = draw(request(attribute="gender", value="female"), replace(corpus, attributes={"gender": gender}), 0)
    assert found.forgotten_classes == (0, 1)
    assert draw(request(attribute="accent", value="en"), spoken(), 0).forgotten_classes == ()


def test_a_later_request_draws_among_what_is_left() -> None:
    corpus = spoken()
    first = draw(request(attribute="accent"), corpus, 0)
    second = draw(request(attribute="accent"), corpus.without(first.rows), 0)
    assert first.attribute != second.attribute
    assert not set(first.rows) & set(second.rows)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attribute": "mood"}, "no attribute 'mood'; its attributes: accent, pitch"),
        ({"attribute": "accent", "value": "welsh"}, "no utterance that is left has accent = welsh; values: en, en-us"),
        ({"attribute": "accent", "below": 3}, "attribute accent has no numbers"),
        ({"attribute": "pitch"}, "attribute pitch has numbers; give a band"),
        ({"attribute": "pitch", "at_least": 1000}, "1000 ≤ pitch selects 0 of"),
    ],
)
def test_a_request_that_fits_nothing_says_what_there_is(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        draw(request(**settings), spoken(), 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "needs a column of the corpus"),
        ({"attribute": "accent", "value": False}, "quote it"),
        ({"attribute": "pitch", "value": 3, "below": 5}, "got value and below"),
        ({"attribute": "pitch", "at_least": 5, "below": 5}, "at_least must be smaller than below"),
        ({"attribute": "pitch", "below": "low"}, "below must be a number"),
        ({"attribute": "accent", "forget_ratio": 0.1}, "kind attribute does not take forget_ratio"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        request(**settings)


def test_the_identity_does_not_depend_on_how_a_number_is_written() -> None:
    one, other = (request(attribute="pitch", below=bound).identity() for bound in (60, 60.0))
    assert one == other == {"kind": "attribute", "attribute": "pitch", "below": 60.0}
    assert request(attribute="take", value=2) == request(attribute="take", value="2")
