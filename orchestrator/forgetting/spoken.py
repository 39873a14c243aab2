"""Forget sets by what is said: all utterances that contain a word or entity, and planted secrets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.forgetting.requests import ForgetRequest
from orchestrator.tasks.corpus import Corpus
from orchestrator.tasks.normalizers import normalizer_of

Rows = npt.NDArray[np.int64]
SHOWN = 10  # names in a description or an error


@dataclass(frozen=True)
class Spoken:
    """What a draw reads of a corpus with transcripts, of N utterances."""

    texts: npt.NDArray[Any]  # (N,) normalized transcripts
    canaries: npt.NDArray[Any]  # (N,) name of the planted secret; empty where there is none
    normalizer: str
    entities: tuple[str, ...] = ()  # that its task lists, such as names and places


def spoken_of(corpus: Corpus) -> Spoken | None:
    """Return the transcripts of a corpus; None where it has classes instead."""
    if corpus.info.get("target") != "transcripts":
        return None
    there = "canary" in corpus.table.column_names
    canaries = corpus.column("canary") if there else np.full(len(corpus), "", dtype=object)
    return Spoken(
        texts=corpus.texts,
        canaries=np.array([name or "" for name in canaries.tolist()], dtype=object),
        normalizer=corpus.info["normalizer"],
        entities=tuple(corpus.info.get("entities", ())),
    )


def containing(texts: Sequence[str], phrase: str) -> npt.NDArray[np.bool_]:
    """(N,) whether each text contains the phrase, as whole words."""
    return np.array([f" {phrase} " in f" {text} " for text in texts], dtype=bool)


def draw_spoken(request: ForgetRequest, spoken: Spoken, left: Rows, rng: np.random.Generator) -> tuple[Rows, str]:
    """Rows out of `left` of a request of kind entity or canary, and what they are; raises as the draws below."""
    if request.kind == "entity":
        return draw_entities(request.entities, request.num_entities, spoken, left, rng)
    return draw_canaries(request.canaries, request.num_canaries, spoken, left, rng)


def draw_entities(
    named: Sequence[str], count: int | None, spoken: Spoken, left: Rows, rng: np.random.Generator
) -> tuple[Rows, str]:
    """Rows out of `left` whose transcripts contain one of the entities, and what they are.

    Args:
        named: the entities; empty to draw some from those that the corpus lists.
        count: how many to draw; 1 when None.
        spoken: the transcripts.
        left: rows of D that were not forgotten.
        rng: of the draw.

    Raises:
        ValueError: no transcript that is left contains an entity, or there are fewer than `count`.
    """
    texts = spoken.texts[left].tolist()
    normalize = normalizer_of(spoken.normalizer)
    if named:
        chosen = [normalize(name) for name in named]
    else:
        said = [name for name in spoken.entities if containing(texts, name).any()]
        if not spoken.entities:
            raise ValueError(
                "the corpus lists no entities to draw from: got kind entity without any; name them as "
                "`entities: [WORD]`"
            )
        if len(said) < (count or 1):
            raise ValueError(
                f"too few entities to forget: got a request for {count or 1}, allowed: {len(said)} or fewer"
            )
        chosen = [said[drawn] for drawn in rng.permutation(len(said)).tolist()][: count or 1]
    masks = {name: containing(texts, name) if name else np.zeros(len(texts), dtype=bool) for name in chosen}
    if unsaid := [name for name, mask in masks.items() if not mask.any()]:
        shown = ", ".join(spoken.entities[:SHOWN]) or "words of the transcripts"
        raise ValueError(
            f"no train transcript that is left contains {unsaid[0]!r}: got entities {', '.join(named)}; name words "
            f"that are said there, such as {shown}"
        )
    rows = left[np.logical_or.reduce(list(masks.values()))]
    return rows, f"{'entities' if len(chosen) > 1 else 'entity'} {_shown(chosen)}"


def draw_canaries(
    named: Sequence[str], count: int | None, spoken: Spoken, left: Rows, rng: np.random.Generator
) -> tuple[Rows, str]:
    """Rows out of `left` of the planted secrets, and what they are; without names, `count` (1 when None) are drawn.

    Raises:
        ValueError: the corpus has no such canary in train, or fewer than `count`.
    """
    planted = sorted(set(spoken.canaries[left].tolist()) - {""})
    if not planted:
        raise ValueError(
            "no canary is left in train: got kind canary for a corpus without planted secrets; use a task with "
            "canaries, such as espeak_sentences, or a manifest with a column `canary`"
        )
    if unknown := [name for name in named if name not in planted]:
        raise ValueError(f"canary cannot be forgotten: got {', '.join(unknown)}, allowed: {', '.join(planted[:20])}")
    if len(planted) < (count or 1):
        raise ValueError(f"too few canaries to forget: got a request for {count}, allowed: {len(planted)} or fewer")
    drawn = [planted[number] for number in rng.permutation(len(planted)).tolist()]
    chosen = list(named) or drawn[: count or 1]
    return left[
        np.isin(spoken.canaries[left], chosen)
    ], f"{'canaries' if len(chosen) > 1 else 'canary'} {_shown(chosen)}"


def _shown(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)[:SHOWN]) + (", …" if len(names) > SHOWN else "")
