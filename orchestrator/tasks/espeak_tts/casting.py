"""Casting by word: how many clips of each class go into each split, and who speaks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from orchestrator.tasks.base import SPLITS
from orchestrator.tasks.espeak_tts.sampling import Role, Speaker, deal, generator

T = TypeVar("T")


def split_sizes(clips: int, test_share: float, validation_share: float, holdout_share: float) -> dict[str, int]:
    """How many of `clips` each split gets; `holdout_share` is of what test and validation leave."""
    test, validation = round(test_share * clips), round(validation_share * clips)
    holdout = round(holdout_share * (clips - test - validation))
    return {"train": clips - test - validation - holdout, "validation": validation, "test": test, "holdout": holdout}


def evenly(total: int, names: Sequence[str]) -> dict[str, int]:
    """`total` shared out over `names`; the first ones get what is left over."""
    return {name: total // len(names) + (number < total % len(names)) for number, name in enumerate(names)}


def refuse_empty_classes(sizes: Mapping[str, Mapping[str, int]], clips: int, may_be_empty: Sequence[str] = ()) -> None:
    """Raise ValueError unless every class has a clip in every split that has clips at all."""
    for split, classes in sizes.items():
        empty = [name for name, size in classes.items() if size < 1 and name not in may_be_empty]
        if empty and (split != "holdout" or sum(classes.values())):
            raise ValueError(
                f"too few clips: got clips={clips}, which leaves the {split} split without {', '.join(empty[:5])}; "
                f"allowed: at least one clip of each of {len(classes)} classes in each split"
            )


def speaker_pools(
    speakers: Sequence[T], seed: int, disjoint: bool, test_share: float, validation_share: float
) -> dict[str, list[T]]:
    """Who may speak in each split: everybody, or if `disjoint` validation and test have speakers of their own.

    Holdout always shares the speakers of train: it is what train could have been.
    """
    if not disjoint:
        return {split: list(speakers) for split in SPLITS}
    test = max(1, round(test_share * len(speakers)))
    validation = max(1, round(validation_share * len(speakers)))
    if test + validation >= len(speakers):
        raise ValueError(f"speaker_disjoint needs at least three speakers, one each for train, validation and test, "
                         f"got {len(speakers)}")  # fmt: skip
    order = [speakers[drawn] for drawn in generator(seed, "pools").permutation(len(speakers)).tolist()]
    rest = order[test + validation :]
    return {"train": rest, "validation": order[test : test + validation], "test": order[:test], "holdout": rest}


def word_roles(
    sizes: Mapping[str, Mapping[str, int]],
    words: Mapping[str, Sequence[str]],
    pools: Mapping[str, Sequence[Speaker]],
    seed: int,
) -> list[Role]:
    """Words and speakers dealt evenly within each class of each split; a class without `words` is spoken by nobody."""
    rng = generator(seed, "roles")
    roles = []
    for split, classes in sizes.items():
        for label, size in classes.items():
            if label in words:
                pairs = zip(deal(rng, words[label], size), deal(rng, pools[split], size), strict=True)
                roles += [Role(split, label, word, speaker) for word, speaker in pairs]
            else:
                roles += [Role(split, label, "", None)] * size
    return roles
