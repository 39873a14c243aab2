"""Where the files of trials are in a results folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.results.shelf import Shelf
from orchestrator.results.store import Store, open_store

ORCHESTRATOR = Path(__file__).parents[2] / "orchestrator"
SHELVES = [name for name, value in vars(Store).items() if isinstance(value, property)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def test_two_shelves_of_one_folder_list_their_own_files_only(store: Store) -> None:
    store.files.write_bytes(store.tests.path("a"), b"")
    store.files.write_bytes(store.attribution_maps.path("b"), b"")
    store.files.write_bytes("evidence/notes.txt", b"")
    assert (store.tests.ids(), store.attribution_maps.ids()) == ({"a"}, {"b"})


def test_a_folder_that_does_not_exist_has_no_ids(store: Store) -> None:
    assert store.models.ids() == set()
    assert store.models.lost_ids() == set()


def test_an_id_is_lost_until_its_file_is_written_again(store: Store) -> None:
    name = store.outputs.path("a")
    store.files.write_bytes(name, b"")
    store.files.set_aside(name)
    assert store.incomplete() == {"a"}
    store.files.write_bytes(name, b"")
    assert store.incomplete() == set()


def test_no_two_shelves_have_the_same_files(store: Store) -> None:
    assert len({getattr(store, name).path("a") for name in SHELVES}) == len(SHELVES)


def test_only_the_store_spells_the_folders_of_its_shelves(store: Store) -> None:
    shelves: list[Shelf] = [getattr(store, name) for name in SHELVES]
    spelled = re.compile(rf"[\"'](?:{'|'.join({shelf.folder for shelf in shelves})})/\{{")
    found = [path.name for path in ORCHESTRATOR.rglob("*.py") if spelled.search(path.read_text(encoding="utf-8"))]
    assert found == []
