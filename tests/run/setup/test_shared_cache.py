"""A node without a corpus or features fetches what another node built, checks it, and builds only what is missing."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from orchestrator import load_sweep, read_rows, run_sweep
from orchestrator.errors import DamagedFile
from orchestrator.results.sealed import read_sealed_json, sealed_json
from orchestrator.results.storage import Folder
from orchestrator.results.store import open_store
from orchestrator.run.setup.shared_cache import SharedCache, shared_cache


@pytest.fixture
def cache(tmp_path):
    return SharedCache(Folder((tmp_path / "shared").as_uri()), "")


def built(path: Path, text: str = "features"):
    """A function that builds a folder with two files, and the list of its calls."""
    calls = []

    def build() -> None:
        calls.append(path)
        (path / "arrow").mkdir(parents=True)
        (path / "arrow" / "data.arrow").write_text(text)
        (path / "corpus.json").write_text("{}")

    return build, calls


def test_a_second_node_fetches_what_the_first_built(cache, tmp_path):
    first, second = tmp_path / "a" / "corpora" / "kws-1", tmp_path / "b" / "corpora" / "kws-1"
    for path, expected in ((first, 1), (second, 0)):
        path.parent.mkdir(parents=True)
        build, calls = built(path)
        cache.obtain(path, build)
        assert len(calls) == expected
    assert (second / "arrow" / "data.arrow").read_text() == "features"
    assert sorted(p.name for p in second.parent.iterdir()) == ["kws-1"]  # no scratch folder is left


def test_a_damaged_file_is_noticed_and_the_folder_built(cache, tmp_path):
    first, second = tmp_path / "a" / "corpora" / "kws-1", tmp_path / "b" / "corpora" / "kws-1"
    first.parent.mkdir(parents=True)
    second.parent.mkdir(parents=True)
    cache.obtain(first, built(first)[0])
    for blob in (tmp_path / "shared" / "blobs").iterdir():
        blob.write_bytes(blob.read_bytes()[:-1])
    build, calls = built(second, "built here")
    with pytest.warns(
        DamagedFile, match=r"cannot read blobs/.*SHA-256 differs; it is arrow/data\.arrow of corpora/kws"
    ):
        cache.obtain(second, build)
    assert len(calls) == 1
    assert (second / "arrow" / "data.arrow").read_text() == "built here"


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b.replace(b"data", b"date")])
def test_a_damaged_list_is_reported_and_the_folder_built_and_shared_again(cache, tmp_path, damage):
    paths = [tmp_path / node / "corpora" / "kws-1" for node in "abc"]
    for path in paths:
        path.parent.mkdir(parents=True)
    cache.obtain(paths[0], built(paths[0])[0])
    listed = tmp_path / "shared" / "folders" / "corpora" / "kws-1.json"
    listed.write_bytes(damage(listed.read_bytes()))
    build, calls = built(paths[1])
    with pytest.warns(DamagedFile, match=r"cannot read folders/corpora/kws-1\.json"):
        cache.obtain(paths[1], build)
    assert len(calls) == 1
    build, calls = built(paths[2])
    cache.obtain(paths[2], build)
    assert not calls


@pytest.mark.parametrize("name", ["../escaped", "/escaped", "arrow/../../escaped"])
def test_a_list_cannot_make_a_node_write_outside_the_folder(cache, tmp_path, name):
    path = tmp_path / "a" / "corpora" / "kws-1"
    path.parent.mkdir(parents=True)
    cache.obtain(path, built(path)[0])
    listed = tmp_path / "shared" / "folders" / "corpora" / "kws-1.json"
    (digest, *_) = read_sealed_json(listed.read_bytes())["files"].values()
    target = str(tmp_path / "b" / "escaped") if name.startswith("/") else name
    listed.write_bytes(sealed_json({"files": {target: digest}}))
    other = tmp_path / "b" / "corpora" / "kws-1"
    other.parent.mkdir(parents=True)
    build, calls = built(other)
    cache.obtain(other, build)
    assert len(calls) == 1
    assert not list(tmp_path.rglob("escaped"))


def test_a_local_folder_shares_nothing_without_the_environment_variable(tmp_path, monkeypatch):
    monkeypatch.delenv("UNLEARN_SHARED_CACHE", raising=False)
    assert shared_cache(open_store(tmp_path)) is None
    monkeypatch.setenv("UNLEARN_SHARED_CACHE", str(tmp_path / "shared"))
    found = shared_cache(open_store(tmp_path))
    assert found is not None
    assert found.files.local_path == tmp_path / "shared"


def test_a_failing_object_store_does_not_fail_the_trial(tmp_path, monkeypatch):
    from orchestrator.errors import StorageError

    cache = SharedCache(Folder((tmp_path / "shared").as_uri()), "")

    def broken(*args):
        raise StorageError("no answer")

    monkeypatch.setattr(Folder, "read_bytes", broken)
    monkeypatch.setattr(Folder, "upload", broken)
    build, calls = built(tmp_path / "kws-1")
    cache.obtain(tmp_path / "kws-1", build)
    assert len(calls) == 1


def test_a_node_that_cannot_build_uses_what_was_shared(small_sweep, cache_dir, tmp_path, monkeypatch):
    from orchestrator.run.setup import feature_cache
    from orchestrator.tasks import build

    monkeypatch.setenv("UNLEARN_SHARED_CACHE", str(tmp_path / "shared"))
    loaded = load_sweep(small_sweep, ["methods=[original]"])
    run_sweep(loaded, tmp_path / "one", executor="local", cache_dir=tmp_path / "node-1")

    def refuse(*args):
        raise AssertionError("this node must fetch, not build")

    monkeypatch.setattr(build, "write_corpus", refuse)
    monkeypatch.setattr(feature_cache, "_build", refuse)
    run_sweep(loaded, tmp_path / "two", executor="local", cache_dir=tmp_path / "node-2")
    one, two = (read_rows(tmp_path / name) for name in ("one", "two"))
    assert set(two["status"]) == {"done"}
    pd.testing.assert_series_equal(one["test_loss"], two["test_loss"])
