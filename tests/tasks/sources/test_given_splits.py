"""Given splits stay; what they leave open is drawn."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.tasks.sources.audio_files import Recording
from orchestrator.tasks.sources.given_splits import with_splits

MADE = [Recording(Path(f"{n}.wav"), f"{n}.wav", "ab"[n % 2], f"s{n % 4}", "") for n in range(40)]
SHARES = {"test_share": 0.2, "validation_share": 0.25}


def test_shares_are_drawn_alike_in_every_class_and_repeat_with_the_seed() -> None:
    drawn = with_splits(MADE, **SHARES, seed=1)
    assert Counter((r.split, r.label) for r in drawn) == {
        (split, label): n for split, n in (("train", 12), ("validation", 4), ("test", 4)) for label in "ab"
    }
    assert drawn == with_splits(MADE, **SHARES, seed=1) != with_splits(MADE, **SHARES, seed=2)


def test_what_is_kept_in_train_is_never_drawn() -> None:
    kept = [r.utterance_id for r in MADE[:8]]
    assert {r.split for r in with_splits(MADE, **SHARES, keep_in_train=kept) if r.utterance_id in kept} == {"train"}


def test_given_splits_stay_and_validation_is_drawn_from_train_only() -> None:
    given = [replace(r, split="test" if n < 10 else "train") for n, r in enumerate(MADE)]
    drawn = with_splits(given, **SHARES)
    assert [r.split for r in drawn[:10]] == ["test"] * 10
    assert Counter(r.split for r in drawn[10:])["validation"] == pytest.approx(0.25 * 30, abs=1)
    with pytest.raises(ValueError, match=r"split given for some recordings only: got none for 0\.wav \(its name\)"):
        with_splits([MADE[0], *given[1:]], **SHARES)


def test_a_mask_names_the_test_split() -> None:
    drawn = with_splits(MADE, [n % 10 == 0 for n in range(40)], **SHARES)
    assert [n for n, r in enumerate(drawn) if r.split == "test"] == [0, 10, 20, 30]
