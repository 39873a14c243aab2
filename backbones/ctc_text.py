"""Characters of CTC recognizers: transcripts to tokens, and the best path of logits back to text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

NO_TOKEN = -1  # fills rows of targets after a transcript's last token
BLANK, SPACE = 0, 1
CHARACTERS = ("", " ", "'", *"abcdefghijklmnopqrstuvwxyz")  # by token; the blank is no character
TOKENS = {character: token for token, character in enumerate(CHARACTERS) if character}


def character_tokens(texts: Sequence[str]) -> Int[Tensor, "n longest"]:
    """Return texts as tokens, filled up with `NO_TOKEN`.

    Raises:
        ValueError: a text is empty or has another character.
    """
    for text in texts:
        if wrong := sorted(set(text) - set(TOKENS)):
            raise ValueError(
                f"a transcript has characters that CTC has no token for: got {''.join(wrong)!r} in {text!r}, allowed: "
                "a–z, apostrophe and space; use the task's normalizer english-1"
            )
        if not text:
            raise ValueError("a transcript is empty; leave its utterance out of the corpus, or give it a transcript")
    found = torch.full((len(texts), max(map(len, texts), default=1)), NO_TOKEN)
    for row, text in enumerate(texts):
        found[row, : len(text)] = torch.tensor([TOKENS[character] for character in text])
    return found


def fewest_steps(tokens: Int[Tensor, "n longest"]) -> Int[Tensor, " n"]:
    """Return the steps that each transcript needs: one a character, and a blank between two equal ones."""
    is_token = tokens != NO_TOKEN
    doubled = (tokens[:, 1:] == tokens[:, :-1]) & is_token[:, 1:]
    return is_token.sum(dim=1) + doubled.sum(dim=1)


def best_path(logits: Float[Tensor, "batch steps characters"]) -> list[str]:
    """Return the text of the likeliest token of each step: repetitions are one character, blanks none."""
    tokens = logits.argmax(dim=-1)
    new = torch.ones_like(tokens, dtype=torch.bool)
    new[:, 1:] = tokens[:, 1:] != tokens[:, :-1]
    kept = new & (tokens != BLANK)
    rows = [row[keep].tolist() for row, keep in zip(tokens.cpu(), kept.cpu(), strict=True)]
    return [" ".join("".join(CHARACTERS[token] for token in row).split()) for row in rows]
