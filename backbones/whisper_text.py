"""Transcripts as tokens of a decoder, and back: the tokenizer of a Whisper checkpoint, or characters.

A new decoder has the 28 characters of normalized English transcripts. With Whisper's own tokenizer it would have 51,864
tokens, most of which no small corpus has: 5 M weights for a network that has 0.5 M otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from backbones.checkpoints import commit_of, load_config

END, START = "<|endoftext|>", "<|startoftranscript|>"
CHARACTERS = " 'abcdefghijklmnopqrstuvwxyz"
FEWEST_WORD_PIECES = 1_000  # a tokenizer with fewer tokens has characters, such as that of an exported nano model
MOST_WORD_PIECES_A_SECOND, MOST_CHARACTERS_A_SECOND = 12.0, 40.0  # more than twice what usual speech has
NO_TOKEN = -1  # fills the rows of shorter transcripts
NO_STEP = -1e4  # logit of all tokens but the first in steps after a transcript's end


@dataclass(frozen=True)
class Spelling:
    """A tokenizer, the tokens that a decoder starts from, and those that greedy decoding must not choose."""

    tokenizer: Any
    prompt: tuple[int, ...]  # start of transcript and its like: read by the decoder, never predicted
    end: int
    never: tuple[int, ...] = ()  # tokens that are never decoded, such as symbols of music
    never_first: tuple[int, ...] = ()  # tokens that no transcript starts with; Whisper's include the end
    lead: str = ""  # what stands before a transcript: a space where tokens include the one before a word
    most_a_second: float = MOST_WORD_PIECES_A_SECOND  # tokens that decoding may give per second of speech
    positions: int = 448  # of the decoder

    def __deepcopy__(self, memo: Any) -> Spelling:
        return self  # never changed; copies of a model share it

    def tokens(self, texts: Sequence[str]) -> Int[Tensor, "batch tokens"]:
        """Return the tokens of each transcript and the end, filled up with `NO_TOKEN`.

        Raises:
            ValueError: a transcript has a character without a token, or too many tokens for the decoder.
        """
        rows = [self._row(text) for text in texts]
        found = torch.full((len(rows), max(map(len, rows), default=0)), NO_TOKEN)
        for number, row in enumerate(rows):
            found[number, : len(row)] = torch.tensor(row)
        return found

    def _row(self, text: str) -> list[int]:
        written = self.lead + text
        row: list[int] = self.tokenizer.encode(written, add_special_tokens=False)
        if self._written(row) != written:
            raise ValueError(
                f"the tokenizer cannot spell the transcript {text!r}; normalize transcripts to letters a-z, spaces and "
                "apostrophes"
            )
        most = self.positions - 1 - len(self.prompt)
        if len(row) > most:
            raise ValueError(
                f"transcript of {len(row)} tokens, {text!r}; the decoder takes at most {most}: cut the recording into "
                "shorter ones"
            )
        return [*row, self.end]

    def _written(self, tokens: Sequence[int]) -> str:
        decoded: str = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return decoded

    def text(self, tokens: Sequence[int]) -> str:
        """Return the transcript of tokens up to the end, without spaces around it."""
        kept = list(tokens)
        kept = kept[: kept.index(self.end)] if self.end in kept else kept
        return self._written(kept).strip()

    def most_tokens(self, seconds: float) -> int:
        """Return how many tokens decoding may give for a recording: speech at twice the usual rate has fewer."""
        return min(self.positions - len(self.prompt), 8 + int(self.most_a_second * seconds))


def character_tokenizer() -> Any:
    """Return a tokenizer of transformers whose tokens are characters."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: number for number, token in enumerate((END, START, *CHARACTERS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=END))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=START, eos_token=END, pad_token=END, unk_token=END
    )


@cache
def character_spelling() -> Spelling:
    """Return the spelling of decoders that start from random weights."""
    return Spelling(tokenizer=character_tokenizer(), prompt=(1,), end=0, most_a_second=MOST_CHARACTERS_A_SECOND)


@cache
def checkpoint_spelling(checkpoint: str, revision: str, language: str) -> Spelling:
    """Return the spelling of a checkpoint with a decoder, from its tokenizer and generation_config.json.

    Raises:
        FileNotFoundError: it has no tokenizer, or no generation_config.json.
        ValueError: its decoder does not know the language.
    """
    import transformers

    at = {"revision": commit_of(checkpoint, revision)}
    config = load_config(checkpoint, revision, "whisper")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint, **at)
        generation = transformers.GenerationConfig.from_pretrained(checkpoint, **at)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"checkpoint {checkpoint!r} has no tokenizer or no generation_config.json, which recognition needs; add "
            "tokenizer.json, tokenizer_config.json and generation_config.json of the same model"
        ) from error
    by_characters = len(tokenizer) < FEWEST_WORD_PIECES
    return Spelling(
        tokenizer=tokenizer,
        prompt=prompt_of(generation, language),
        end=int(generation.eos_token_id),
        never=tuple(generation.suppress_tokens or ()),
        never_first=tuple(generation.begin_suppress_tokens or ()),
        lead="" if by_characters else " ",
        most_a_second=MOST_CHARACTERS_A_SECOND if by_characters else MOST_WORD_PIECES_A_SECOND,
        positions=int(config.max_target_positions),
    )


def prompt_of(generation: Any, language: str) -> tuple[int, ...]:
    """Return start, language and task where the decoder knows several, and "no timestamps".

    Raises:
        ValueError: the decoder does not know the language.
    """
    prompt = [int(generation.decoder_start_token_id)]
    if getattr(generation, "is_multilingual", False):
        known = {name.strip("<|>"): token for name, token in generation.lang_to_id.items()}
        if language not in known:
            raise ValueError(f"unknown language: {language!r}; choose one of {', '.join(sorted(known))}")
        prompt += [known[language], generation.task_to_id["transcribe"]]
    elif language != "en":
        raise ValueError(f"unknown language: {language!r}; this checkpoint knows English only: set language: en")
    without_times = getattr(generation, "no_timestamps_token_id", None)
    return (*prompt, *([] if without_times is None else [int(without_times)]))


def generation_settings(spelling: Spelling, config: Any) -> Any:
    """Return the generation config that makes `generate` of transformers decode as `transcribe` does."""
    from transformers import GenerationConfig

    made = GenerationConfig(
        decoder_start_token_id=spelling.prompt[0],
        bos_token_id=config.bos_token_id,
        eos_token_id=spelling.end,
        pad_token_id=config.pad_token_id,
        max_length=spelling.positions,
        suppress_tokens=list(spelling.never) or None,
        begin_suppress_tokens=list(spelling.never_first) or None,
    )
    made.return_timestamps, made.is_multilingual = False, False
    if len(spelling.prompt) > 1:
        made.no_timestamps_token_id = spelling.prompt[-1]
    return made
