"""Word and character errors of a recognizer: counts by utterance that are pooled before anything is divided.

Texts are compared as they are: the corpus and the recognizer normalize them. Rates are fractions, and above 1 where a
model inserts more than there is. An empty set has no rate (NaN), not one of 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Int

from orchestrator.evidence.accuracy import COLLAPSE_SHARE

LOOP_WORDS, LOOP_MORE = 4, 2  # a phrase of four words, repeated at least twice more than in the transcript
SHOWN = 5  # ids in an error

Counts = Int[np.ndarray, " n"]
Texts = Sequence[str] | np.ndarray[Any, Any]
Groups = np.ndarray[Any, Any]  # (n,) text


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Sums of counts over utterances; add two of them to pool their rates."""

    utterances: int
    words: int  # of the transcripts
    word_substitutions: int
    word_deletions: int
    word_insertions: int
    characters: int  # of the transcripts, with spaces
    character_edits: int
    empty_outputs: int  # utterances
    looping_outputs: int

    @property
    def wer(self) -> float:
        """Word error rate: (substitutions + deletions + insertions) / words."""
        return _share(self.word_substitutions + self.word_deletions + self.word_insertions, self.words)

    @property
    def cer(self) -> float:
        """Character error rate."""
        return _share(self.character_edits, self.characters)

    @property
    def insertion_rate(self) -> float:
        """Inserted words per word of the transcripts."""
        return _share(self.word_insertions, self.words)

    @property
    def word_hits(self) -> int:
        """Words that are right."""
        return self.words - self.word_substitutions - self.word_deletions

    def __add__(self, other: Errors) -> Errors:
        return Errors(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Edits:
    """Counts of n utterances, each an array (n,) of integers; fields as of `Errors`."""

    words: Counts
    word_substitutions: Counts
    word_deletions: Counts
    word_insertions: Counts
    characters: Counts
    character_edits: Counts
    empty_outputs: Counts  # 0 or 1
    looping_outputs: Counts

    def __len__(self) -> int:
        return len(self.words)

    @property
    def word_edits(self) -> Counts:
        """Word errors of each utterance."""
        found: Counts = self.word_substitutions + self.word_deletions + self.word_insertions
        return found

    def where(self, keep: Any) -> Edits:
        """Select utterances by a mask or by their places."""
        return Edits(**{f.name: getattr(self, f.name)[keep] for f in fields(self)})

    def total(self) -> Errors:
        """Sum up."""
        sums = {f.name: int(getattr(self, f.name).sum()) for f in fields(self)}
        return Errors(utterances=len(self), **sums)


def edits(references: Texts, hypotheses: Texts, utterance_ids: Texts) -> Edits:
    """Align outputs with transcripts by smallest edit distance (jiwer), words and characters separately.

    Args:
        references: (n,) transcripts, none of them empty.
        hypotheses: (n,) outputs; runs of spaces count as one.
        utterance_ids: (n,) for errors.

    Raises:
        ValueError: not as many of one as of the other, or an empty transcript, which has no error rate.
    """
    if not len(references) == len(hypotheses) == len(utterance_ids):
        sizes = f"{len(references)} transcripts, {len(hypotheses)} outputs and {len(utterance_ids)} ids"
        raise ValueError(f"Each utterance needs a transcript, an output and an id; got {sizes}.")
    spoken, produced = ([" ".join(str(text).split()) for text in texts] for texts in (references, hypotheses))
    if empty := [str(name) for name, text in zip(utterance_ids, spoken, strict=True) if not text]:
        more = f" and {len(empty) - SHOWN} more" if len(empty) > SHOWN else ""
        raise ValueError(
            f"An empty transcript has no error rate; got one for {', '.join(empty[:SHOWN])}{more}. Leave these "
            "utterances out of the corpus, or give them a transcript."
        )
    by_word = _aligned([text.split() for text in spoken], [text.split() for text in produced])
    by_character = _aligned([list(text) for text in spoken], [list(text) for text in produced])
    looping = [is_looping(text, reference) for text, reference in zip(produced, spoken, strict=True)]
    return Edits(
        words=_numbers(len(text.split()) for text in spoken),
        word_substitutions=by_word[:, 0],
        word_deletions=by_word[:, 1],
        word_insertions=by_word[:, 2],
        characters=_numbers(map(len, spoken)),
        character_edits=by_character.sum(axis=1),
        empty_outputs=_numbers(not text for text in produced),
        looping_outputs=_numbers(looping),
    )


def is_looping(hypothesis: str, reference: str) -> bool:
    """Return whether the output's most frequent phrase of four words occurs two times more often than the transcript's.

    The top n-gram count of Guerreiro et al. 2023 (arXiv 2208.05309) with n = 4 and t = 2, after the oscillatory outputs
    of Raunak et al. 2021 (arXiv 2104.06683), with the transcript in place of the source sentence: what a speaker
    repeats is no loop. A transcript of fewer than four words counts as one phrase.

    Limits: a word that is stretched by its letters is not found, nor a loop in an output of fewer than six words.
    """
    return _most_repeated(hypothesis) - max(1, _most_repeated(reference)) >= LOOP_MORE


def errors_by_group(found: Edits, groups: Groups) -> dict[str, Errors]:
    """Pool errors within each group, such as a speaker or an accent, in order of their names.

    Args:
        found: of `edits`.
        groups: (n,) text.
    """
    if len(groups) != len(found):
        raise ValueError(f"Each utterance needs a group; got {len(found)} utterances and {len(groups)} groups.")
    return {str(name): found.where(groups == name).total() for name in np.unique(groups)}


def is_constant(hypotheses: Texts, references: Texts) -> bool:
    """Return whether more than 90 % of outputs are one text, such as none at all: a collapsed recognizer.

    The rule of classifiers (`accuracy.is_collapsed`), without classes to balance. Utterances that all say the same
    cannot tell, and are never called collapsed.
    """
    rounding = 1e-9
    return _largest_share(references) <= COLLAPSE_SHARE < _largest_share(hypotheses) - rounding


def error_columns(name: str, errors: Errors) -> dict[str, Any]:
    """Return the columns of a row for a set: its counts (`EDIT_COUNTS` of the schema) and rates.

    Args:
        name: of the set, such as `forget`.
        errors: of its utterances.
    """
    counts = {f.name: getattr(errors, f.name) for f in fields(errors) if f.name != "utterances"}
    return {f"{name}_{key}": value for key, value in (counts | {"wer": errors.wer, "cer": errors.cer}).items()}


def _aligned(spoken: list[list[str]], produced: list[list[str]]) -> Int[np.ndarray, "n 3"]:
    """Count substitutions, deletions and insertions of each pair of sequences."""
    from jiwer import process_words  # here, because importing it takes a while

    counts = np.zeros((len(spoken), 3), dtype=np.int64)
    if not spoken:
        return counts
    as_they_are: Any = lambda sequences: sequences  # noqa: E731 - jiwer's transforms are callables
    found = process_words(spoken, produced, as_they_are, as_they_are)  # type: ignore[arg-type]
    for utterance, chunks in enumerate(found.alignments):
        for chunk in chunks:
            counts[utterance] += {
                "substitute": (chunk.ref_end_idx - chunk.ref_start_idx, 0, 0),
                "delete": (0, chunk.ref_end_idx - chunk.ref_start_idx, 0),
                "insert": (0, 0, chunk.hyp_end_idx - chunk.hyp_start_idx),
                "equal": (0, 0, 0),
            }[chunk.type]
    return counts


def _most_repeated(text: str) -> int:
    words = text.split()
    phrases = Counter(tuple(words[at : at + LOOP_WORDS]) for at in range(len(words) - LOOP_WORDS + 1))
    return max(phrases.values(), default=0)


def _largest_share(texts: Texts) -> float:
    return max(Counter(texts).values()) / len(texts) if len(texts) else 0.0


def _numbers(values: Any) -> Counts:
    return np.fromiter(values, dtype=np.int64)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
