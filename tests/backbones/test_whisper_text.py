from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest

from backbones.whisper_text import NO_TOKEN, character_spelling, checkpoint_spelling, prompt_of

TEXTS = ["it's nine o'clock", "a", "the quick brown fox jumps over the lazy dog"]
SEVERAL = SimpleNamespace(
    decoder_start_token_id=50258, is_multilingual=True, lang_to_id={"<|en|>": 50259, "<|de|>": 50261},
    task_to_id={"transcribe": 50359, "translate": 50358}, no_timestamps_token_id=50363,
)  # fmt: skip


def test_characters_are_tokens_and_come_back() -> None:
    spelling = character_spelling()
    found = spelling.tokens(TEXTS)
    assert found.shape == (3, len(TEXTS[2]) + 1)
    assert (found != NO_TOKEN).sum(dim=1).tolist() == [len(text) + 1 for text in TEXTS]
    assert [spelling.text(row.tolist()) for row in found] == TEXTS


def test_text_ends_at_the_first_end() -> None:
    spelling = character_spelling()
    (row,) = spelling.tokens(["ab"]).tolist()
    assert spelling.text([*row, *row]) == "ab"
    assert spelling.text([spelling.end]) == ""


@pytest.mark.parametrize("text", ["Anna", "call 42", "naïve"])
def test_what_cannot_be_spelled_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="normalize transcripts to letters a-z"):
        character_spelling().tokens(["fine", text])


def test_transcripts_longer_than_the_decoder_are_refused() -> None:
    spelling = character_spelling()
    assert spelling.tokens(["a" * 446]).shape == (1, 447)
    with pytest.raises(ValueError, match=r"transcript of 447 tokens.*at most 446"):
        spelling.tokens(["a" * 447])


def test_longer_recordings_may_have_more_tokens_up_to_the_positions_of_the_decoder() -> None:
    spelling = character_spelling()
    assert spelling.most_tokens(1.0) < spelling.most_tokens(2.0) < spelling.most_tokens(60.0) == 447


def test_a_copy_of_a_spelling_is_the_same_object() -> None:
    assert copy.deepcopy(character_spelling()) is character_spelling()


def test_decoders_of_several_languages_are_told_language_and_task() -> None:
    assert prompt_of(SEVERAL, "de") == (50258, 50261, 50359, 50363)
    with pytest.raises(ValueError, match="unknown language: 'fr'; choose one of de, en"):
        prompt_of(SEVERAL, "fr")


def test_english_decoders_know_english_only() -> None:
    english = SimpleNamespace(decoder_start_token_id=7, is_multilingual=False, no_timestamps_token_id=9)
    assert prompt_of(english, "en") == (7, 9)
    with pytest.raises(ValueError, match="knows English only"):
        prompt_of(english, "de")


def test_a_checkpoint_of_characters_has_no_space_before_transcripts(recognizer_folder: str) -> None:
    spelling = checkpoint_spelling(recognizer_folder, "main", "en")
    assert spelling.tokens(TEXTS).tolist() == character_spelling().tokens(TEXTS).tolist()
    assert (spelling.prompt, spelling.end, spelling.positions) == ((1,), 0, 60)
    assert (spelling.never, spelling.never_first) == ((5, 9), (0, 2))


def test_a_checkpoint_without_tokenizer_is_refused(tiny_folder, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no tokenizer"):
        checkpoint_spelling(tiny_folder("whisper"), "main", "en")


def test_whispers_own_tokens_include_the_space_before_a_word(models_folder: Path) -> None:
    spelling = checkpoint_spelling(str(models_folder / "whisper-tiny-en"), "main", "en")
    found = spelling.tokens(TEXTS)
    assert spelling.prompt == (50257, 50362)
    assert [spelling.text(row.tolist()) for row in found] == TEXTS
    assert spelling.tokenizer.convert_ids_to_tokens(found[2, :3].tolist()) == ["Ġthe", "Ġquick", "Ġbrown"]
