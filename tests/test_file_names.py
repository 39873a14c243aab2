"""Names that users choose become file names that never collide."""

from __future__ import annotations

import itertools

import pytest

from orchestrator.file_names import LONGEST, file_name

NAMES = [
    "数字", "说话人", "a/b", "a b", "a-b", "a--b", "A-b", "Ab", "ab", "x" * 300, "x" * 299, ".mine", "mine", "mine.",
    "-", "", "..", "é", "e\u0301", "yes", "YES", "../up", "con/aux", "\udcff",
]  # fmt: skip


def test_different_names_give_different_files_also_if_case_is_ignored() -> None:
    assert len({file_name(name).lower() for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_name_is_plain_and_short_and_never_empty_or_hidden(name: str) -> None:
    found = file_name(name)
    assert found
    assert found.isascii()
    assert not set(found) & set('/\\:*?"<>| ')
    assert found[0] not in ".-"
    assert len(found) <= LONGEST


def test_short_plain_names_are_unchanged() -> None:
    assert file_name("espeak_keywords", "whisper_nano") == "espeak_keywords--whisper_nano"
    assert file_name("fsdd-digits.v2") == "fsdd-digits.v2"


def test_names_that_differ_only_in_their_parts_give_different_files() -> None:
    pairs = [("a-b", "c"), ("a", "b-c"), ("a--b", "c"), ("a", "b--c"), ("a", "b", "c"), ("a-b-c",), ("a--b--c",)]
    assert all(file_name(*one) != file_name(*other) for one, other in itertools.combinations(pairs, 2))
