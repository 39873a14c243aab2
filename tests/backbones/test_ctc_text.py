"""Characters of CTC: texts survive the way to tokens and back, and repetitions need a blank between them."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from backbones.ctc_text import BLANK, CHARACTERS, NO_TOKEN, best_path, character_tokens, fewest_steps


def path(tokens: list[int]) -> torch.Tensor:
    return functional.one_hot(torch.tensor([tokens]), len(CHARACTERS)).float()


def test_the_vocabulary_is_blank_space_apostrophe_and_letters() -> None:
    assert CHARACTERS[:4] == ("", " ", "'", "a")
    assert len(CHARACTERS) == 29


def test_a_text_with_a_blank_between_its_characters_reads_back() -> None:
    text = "anna's speed is zoom"
    (tokens,) = character_tokens([text]).tolist()
    assert best_path(path([token for each in tokens for token in (each, BLANK)])) == [text]


def test_repeated_tokens_are_one_character_unless_a_blank_parts_them() -> None:
    a, b = character_tokens(["ab"])[0].tolist()
    assert best_path(path([a, a, BLANK, a, b, b])) == ["aab"]
    assert best_path(path([BLANK, BLANK])) == [""]


def test_shorter_texts_are_filled_up() -> None:
    assert character_tokens(["ab", "a"])[1].tolist() == [3, NO_TOKEN]


@pytest.mark.parametrize(("text", "match"), [("Ab", "no token for"), ("4", "normalizer"), ("", "empty")])
def test_what_has_no_tokens_is_an_error(text, match) -> None:
    with pytest.raises(ValueError, match=match):
        character_tokens([text])


def test_a_transcript_needs_a_step_a_character_and_one_between_equal_ones() -> None:
    assert fewest_steps(character_tokens(["ab", "hello wo", "aaa", "a"])).tolist() == [2, 9, 5, 1]
