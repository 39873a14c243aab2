"""Counts are pooled before they are divided; loops, constant outputs and empty transcripts are found."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from orchestrator.evidence.wer import Errors, edits, error_columns, errors_by_group, is_constant, is_looping
from orchestrator.results.schema import EDIT_COUNTS, ERROR_RATES, SCHEMA

SPOKEN = ["the cat sat", "call me at nine", "yes"]
SAID = ["the bat sat down", "call at nine", "yes"]
NAMES = ["u1", "u2", "u3"]


def test_errors_are_counted_by_kind_and_pooled_over_words_not_over_utterances() -> None:
    found = edits(SPOKEN, SAID, NAMES)
    assert found.word_substitutions.tolist() == [1, 0, 0]
    assert found.word_insertions.tolist() == [1, 0, 0]
    assert found.word_deletions.tolist() == [0, 1, 0]
    total = found.total()
    assert total.wer == 3 / 8
    assert total.wer != pytest.approx(np.mean([2 / 3, 1 / 4, 0]))
    assert (total.word_hits, total.insertion_rate) == (6, 1 / 8)


def test_characters_count_spaces_and_words_are_compared_whole() -> None:
    found = edits(["ab cd"], ["abcd"], ["u"]).total()
    assert (found.characters, found.character_edits, found.cer) == (5, 1, 0.2)
    assert found.wer == 1.0


def test_sums_of_two_sets_give_the_rate_of_both_together() -> None:
    found = edits(SPOKEN, SAID, NAMES)
    parts = [found.where([0]).total(), found.where([1, 2]).total()]
    assert parts[0] + parts[1] == found.total()


def test_an_empty_output_deletes_every_word_and_an_output_without_end_exceeds_one() -> None:
    nothing = edits(["a b c"], ["  "], ["u"]).total()
    assert (nothing.wer, nothing.cer, nothing.empty_outputs, nothing.word_deletions) == (1.0, 1.0, 1, 3)
    assert edits(["a"], ["b c d"], ["u"]).total().wer == 3.0


def test_runs_of_spaces_are_no_errors() -> None:
    assert edits(["a b"], ["  a   b "], ["u"]).total().cer == 0


def test_a_set_without_utterances_has_no_rate() -> None:
    total = edits([], [], []).total()
    assert np.isnan([total.wer, total.cer, total.insertion_rate]).all()
    assert total.utterances == 0


def test_an_empty_transcript_is_refused_by_its_id() -> None:
    with pytest.raises(ValueError, match=r"got one for u2\. Leave"):
        edits(["a", " ", "b"], ["a", "b", "b"], NAMES)
    with pytest.raises(ValueError, match="3 transcripts, 1 outputs and 3 ids"):
        edits(SPOKEN, ["a"], NAMES)


def test_a_repeated_phrase_is_a_loop_unless_the_speaker_repeats_it() -> None:
    assert is_looping("one two one two one two one two", "one two")
    assert is_looping("the the the the the the", "the house")
    assert not is_looping("one two three four five six", "one two three four")
    assert not is_looping("one two three four one two three four", "one two three")
    assert is_looping(" ".join(["one two three four"] * 3), "one two three")
    spoken = "no no no no no no no"
    assert not is_looping(spoken, spoken)
    assert is_looping(f"{spoken} no no", spoken)


def test_groups_pool_their_own_utterances_and_add_up_to_all() -> None:
    found = edits(SPOKEN, SAID, NAMES)
    groups = errors_by_group(found, np.array(["s2", "s1", "s2"]))
    assert list(groups) == ["s1", "s2"]
    assert groups["s2"].wer == 2 / 4
    assert groups["s1"] + groups["s2"] == found.total()
    with pytest.raises(ValueError, match="got 3 utterances and 1 groups"):
        errors_by_group(found, np.array(["s1"]))


def test_a_recognizer_of_one_output_is_constant_unless_all_say_the_same() -> None:
    spoken = [f"word {n}" for n in range(20)]
    assert is_constant([""] * 20, spoken)
    assert is_constant(["a"] * 19 + ["b"], spoken)
    assert not is_constant(["a"] * 18 + ["b", "c"], spoken)  # exactly 90 %
    assert not is_constant(["a"] * 20, ["a"] * 20)
    assert not is_constant([], [])


def test_a_row_has_a_column_for_each_count_and_rate() -> None:
    columns = error_columns("test", edits(SPOKEN, SAID, NAMES).total())
    assert set(columns) == {f"test_{name}" for name in (*EDIT_COUNTS, *ERROR_RATES)}
    assert set(columns) <= set(SCHEMA.names)
    assert {f.name for f in fields(Errors)} == {*EDIT_COUNTS, "utterances"}
    assert columns["test_wer"] == 3 / 8
