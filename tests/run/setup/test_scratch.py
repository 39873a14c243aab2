"""The next run removes what killed processes left; recent files and other files are kept."""

from __future__ import annotations

import os
import time

import pytest

from orchestrator.results.store import open_store
from orchestrator.run.setup.scratch import OLD_SECONDS, remove_scratch

LEFT = [
    "r/rows/.a.parquet.0123abcd", "r/.index.parquet.0123abcd", "r/unlearned/a/.config.json.0123abcd",
    "cache/micro_batches/.a.json.0123abcd", "cache/features/.0123-xyz/features.npy",
    "cache/corpora/.kws-1-xyz/audio.raw", "cache/scratch/.logits-xyz", "shared/blobs/.a.0123abcd",
]  # fmt: skip
KEPT = ["r/rows/a.parquet", "r/.driver.json.lock", "cache/features/0123/features.npy", "cache/features/0123.lock"]


@pytest.fixture
def left(tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARN_SHARED_CACHE", str(tmp_path / "shared"))
    for name in LEFT + KEPT:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    for path in tmp_path.rglob("*"):
        os.utime(path, (time.time() - 2 * OLD_SECONDS,) * 2)
    return tmp_path


def test_old_scratch_files_are_removed_and_nothing_else(left):
    remove_scratch(open_store(left / "r"), left / "cache")
    assert {path.relative_to(left).as_posix() for path in left.rglob("*") if path.is_file()} == set(KEPT)


def test_recent_scratch_files_are_kept(left):
    for name in LEFT:  # of a folder, the newest file counts
        os.utime(left / name)
    remove_scratch(open_store(left / "r"), left / "cache")
    assert all((left / name).exists() for name in LEFT + KEPT)
