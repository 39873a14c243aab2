"""Digests of files are right whatever happens to the cache, and each file is read once."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator import digests
from orchestrator.digests import damaged_files, digests_of, seal, set_folder_aside
from orchestrator.errors import DamagedFile, RecordingsNotice


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, in which files of any age are remembered."""
    monkeypatch.setenv("UNLEARN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "SETTLED_NS", -1)
    return tmp_path / "cache"


@pytest.fixture
def read(monkeypatch):
    """The list of names of the files that were read so far."""
    names, sha256 = [], digests.sha256_of
    monkeypatch.setattr(digests, "sha256_of", lambda file: names.append(os.path.basename(file)) or sha256(file))
    return names


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_is_read_once_and_again_only_when_it_changed(tmp_path, cache, read):
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    for _ in range(3):
        assert digests_of([tmp_path / "b", tmp_path / "a"]) == [(3, sha(b"two")), (3, sha(b"one"))]
    assert sorted(read) == [b"a", b"b"]
    (tmp_path / "a").write_bytes(b"six")
    assert digests_of([tmp_path / "a", tmp_path / "b"]) == [(3, sha(b"six")), (3, sha(b"two"))]
    assert sorted(read) == [b"a", b"a", b"b"]


def test_a_file_replaced_by_one_of_equal_size_and_time_gets_a_new_digest(tmp_path, cache):
    for name, content in (("a", b"one"), ("new", b"two")):
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    assert digests_of([tmp_path / "a"])[0].sha256 == sha(b"one")
    os.replace(tmp_path / "new", tmp_path / "a")
    assert digests_of([tmp_path / "a"])[0].sha256 == sha(b"two")


def test_a_file_that_changed_just_now_is_read_again(tmp_path, cache, read, monkeypatch):
    monkeypatch.setattr(digests, "SETTLED_NS", 3600 * 10**9)
    (tmp_path / "a").write_bytes(b"one")
    for _ in range(2):
        digests_of([tmp_path / "a"])
    assert read == [b"a", b"a"]


def test_a_missing_or_forbidden_file_has_no_digest(tmp_path, cache):
    (tmp_path / "folder").mkdir()
    assert [digest.sha256 for digest in digests_of([tmp_path / "none", tmp_path / "folder"])] == ["", ""]


@pytest.mark.parametrize("spoil", ["no database", "a folder", "no folder may be made"])
def test_a_cache_that_cannot_be_used_only_costs_time(tmp_path, cache, spoil):
    (tmp_path / "a").write_bytes(b"one")
    if spoil == "no folder may be made":
        cache.write_bytes(b"")
    else:
        cache.mkdir()
        database = cache / digests.DATABASE
        database.mkdir() if spoil == "a folder" else database.write_bytes(b"x" * 4096)
    for _ in range(2):
        assert digests_of([tmp_path / "a"]) == [(3, sha(b"one"))]


def test_a_damaged_database_is_replaced(tmp_path, cache, read):
    cache.mkdir()
    (cache / digests.DATABASE).write_bytes(b"x" * 4096)
    (tmp_path / "a").write_bytes(b"one")
    for _ in range(3):
        digests_of([tmp_path / "a"])
    assert len(read) < 3
    assert sqlite3.connect(cache / digests.DATABASE).execute("SELECT count(*) FROM digests").fetchone() == (1,)


def test_a_long_read_is_announced(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(digests, "LONG_READ_BYTES", 2)
    (tmp_path / "a").write_bytes(b"one")
    with pytest.warns(RecordingsNotice, match="Reading 1 files"):
        digests_of([tmp_path / "a"])


def test_many_threads_may_call_at_the_same_time(tmp_path, cache):
    for number in range(40):
        (tmp_path / str(number)).write_bytes(b"%d" % number)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: digests_of(tmp_path / str(n) for n in range(40)), range(16)))
    assert all(answer == [(len(b"%d" % n), sha(b"%d" % n)) for n in range(40)] for answer in answers)


def test_a_name_that_is_not_utf_8_is_digested(tmp_path, cache):
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    with open(path, "wb") as file:
        file.write(b"one")
    assert digests_of([os.fsdecode(path)] * 2) == [(3, sha(b"one"))] * 2


def sealed(tmp_path):
    folder = tmp_path / "cache" / "corpora" / "mine-abc"
    (folder / "arrow").mkdir(parents=True)
    (folder / "arrow" / "data").write_bytes(b"\0" * 100)
    (folder / "info.json").write_bytes(b"{}")
    seal(folder)
    return folder


def test_a_sealed_folder_is_undamaged(tmp_path, cache):
    assert damaged_files(sealed(tmp_path)) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("arrow/data", b"\0" * 99 + b"\1"),
        ("arrow/data", b"\0" * 50),
        ("arrow/data", b""),
        ("info.json", None),
        ("digests.json", None),
        ("digests.json", b"[1]"),
        ("digests.json", b"\xff"),
    ],
    ids=["flipped", "cut", "emptied", "removed", "no list", "another list", "no JSON"],
)
def test_every_kind_of_damage_is_found(tmp_path, cache, name, content):
    folder = sealed(tmp_path)
    (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
    assert damaged_files(folder) == [name]


def test_a_damaged_folder_is_moved_and_named_in_a_warning(tmp_path, cache):
    for _ in range(2):  # the one that was set aside first is replaced
        folder = sealed(tmp_path)
        with pytest.warns(DamagedFile, match=r"mine-abc is damaged \(changed or missing: arrow/data\)"):
            set_folder_aside(folder, ["arrow/data"])
        assert not folder.exists()
        assert (tmp_path / "cache/damaged/mine-abc/info.json").is_file()
