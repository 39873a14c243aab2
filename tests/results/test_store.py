from __future__ import annotations

import errno
import os

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from orchestrator.errors import DamagedFile, FolderFull
from orchestrator.report.archive import compact_results, restore_results
from orchestrator.report.write import write_report
from orchestrator.results import store as store_module
from orchestrator.results.schema import SCHEMA
from orchestrator.results.sealed import sealed_parquet
from orchestrator.results.storage import Folder
from orchestrator.results.store import open_store, read_rows


def row(number: int, **columns):
    return {"trial_id": f"{number:016x}", "status": "done", "seed": number, "forget_accuracy": 0.5, **columns}


def test_a_row_comes_back_as_it_went(tmp_path):
    store = open_store(tmp_path)
    store.commit(row(1, error="", collapsed=False))
    back = store.row(f"{1:016x}")
    assert (back["seed"], back["forget_accuracy"], back["collapsed"], back["test_accuracy"]) == (1, 0.5, False, None)


def test_rows_read_as_one_table_with_pandas(tmp_path):
    store = open_store(tmp_path)
    for number in range(3):
        store.commit(row(number))
    frame = pd.read_parquet(tmp_path / "rows")
    assert list(frame.columns) == SCHEMA.names
    assert sorted(frame["seed"]) == [0, 1, 2]


def test_an_unknown_column_is_refused(tmp_path):
    with pytest.raises(ValueError, match="columns that do not exist: got accuracy_forget"):
        open_store(tmp_path).commit(row(1, accuracy_forget=1.0))


def test_a_second_commit_replaces_the_first_also_behind_the_index(tmp_path):
    store = open_store(tmp_path)
    store.commit(row(1))
    assert len(store.rows()) == 1  # the index now holds it
    store.commit(row(1, status="failed"))
    assert store.rows()["status"].tolist() == ["failed"]


def test_the_index_follows_new_and_deleted_rows(tmp_path):
    store = open_store(tmp_path)
    store.commit(row(1))
    store.commit(row(2))
    assert len(store.rows()) == 2
    store.commit(row(3))
    store.files.delete(f"rows/{1:016x}.parquet")
    assert store.rows()["seed"].tolist() == [2, 3]


def test_the_index_is_the_same_however_many_rows_are_joined_at_once(tmp_path, monkeypatch):
    store = open_store(tmp_path)
    for number in range(7):
        store.commit(row(number))
    at_once = store.rows()
    (tmp_path / "index.parquet").unlink()
    monkeypatch.setattr(store_module, "AT_ONCE", 3)
    pd.testing.assert_frame_equal(store.rows(), at_once)
    assert len(store.compact().column("status").chunks) == 1


def test_a_torn_index_is_named_and_rebuilt(tmp_path, injected):
    store = open_store(tmp_path)
    store.commit(row(1))
    undisturbed = store.rows()
    (tmp_path / "index.parquet").write_bytes(b"PAR1 torn")
    with pytest.warns(DamagedFile, match=r"cannot read index\.parquet .*; moved to damaged/index\.parquet"):
        assert store.rows()["seed"].tolist() == [1]
    assert store.rows()["seed"].tolist() == [1]
    injected("the index of rows cannot be read", "named, set aside and rebuilt from the rows", tmp_path, undisturbed)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_row_is_named_set_aside_and_counts_as_never_run(tmp_path, share):
    store = open_store(tmp_path)
    for number in range(3):
        store.commit(row(number))
    part = tmp_path / "rows" / f"{1:016x}.parquet"
    part.write_bytes(part.read_bytes()[: int(share * part.stat().st_size)])
    with pytest.warns(DamagedFile, match=f"cannot read rows/{part.name}"):
        assert store.rows()["seed"].tolist() == [0, 2]
    assert not part.exists()
    assert (tmp_path / "damaged" / "rows" / part.name).is_file()
    assert store.row(f"{1:016x}") is None


@pytest.mark.parametrize("name", ["forget_accuracy", "test_loss", "done", "ARROW:schema", "PAR1", "unlearn-sha256:"])
def test_a_flipped_bit_anywhere_in_a_row_is_noticed(tmp_path, name):
    """In a column's name it would read as a column that an older row lacks: as nothing measured."""
    store = open_store(tmp_path)
    store.commit(row(1, test_loss=0.25))
    part = tmp_path / "rows" / f"{1:016x}.parquet"
    content = bytearray(part.read_bytes())
    content[content.rindex(name.encode())] ^= 1
    part.write_bytes(content)
    with pytest.warns(DamagedFile, match=f"cannot read rows/{part.name}"):
        assert store.row(f"{1:016x}") is None


def test_a_flipped_bit_in_the_index_changes_no_row(tmp_path):
    store = open_store(tmp_path)
    for number in range(20):
        store.commit(row(number))
    undisturbed, path = store.rows(), tmp_path / "index.parquet"
    whole = path.read_bytes()
    for at in np.random.default_rng(0).integers(len(whole), size=20):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.warns(DamagedFile, match=r"cannot read index\.parquet"):
            pd.testing.assert_frame_equal(store.rows(), undisturbed)


def test_a_folder_of_the_first_version_is_refused_and_left_as_it_is(tmp_path):
    store = open_store(tmp_path)
    store.commit(row(1, package_version="0.1.0"))
    part = tmp_path / "rows" / f"{1:016x}.parquet"
    pq.write_table(pq.read_table(part), part)
    before = part.read_bytes()
    with pytest.raises(
        ValueError, match=r"was written by version 0\.1\.0, whose trials have other ids\. Choose another"
    ):
        store.rows()
    assert part.read_bytes() == before


def test_rows_from_before_a_column_was_added_have_nulls_there(tmp_path):
    store = open_store(tmp_path)
    store.commit(row(1, recipe="{}"))
    part = tmp_path / "rows" / f"{1:016x}.parquet"
    part.write_bytes(sealed_parquet(pq.read_table(part).drop_columns(["recipe"])))
    assert store.rows()["recipe"].isna().all()
    assert store.row(f"{1:016x}")["seed"] == 1


def test_a_row_replaced_while_the_index_is_written_is_read_again(tmp_path, monkeypatch):
    store = open_store(tmp_path)
    store.commit(row(1, status="failed"))
    write = type(store).write_table

    def slow(self, name, table):
        monkeypatch.undo()
        store.commit(row(1))  # a worker's, between reading the old row and writing the index
        write(self, name, table)

    monkeypatch.setattr(type(store), "write_table", slow)
    assert store.rows()["status"].tolist() == ["failed"]
    assert store.rows()["status"].tolist() == ["done"]


def test_a_row_is_read_again_where_a_store_has_no_times_of_change(tmp_path, monkeypatch):
    listed = Folder.modified
    monkeypatch.setattr(Folder, "modified", lambda self, folder: dict.fromkeys(listed(self, folder), 0))
    store = open_store(tmp_path)
    for status in ("failed", "done"):
        store.commit({**row(1), "status": status})
        assert store.rows()["status"].tolist() == [status]


def test_rows_are_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    store = open_store(tmp_path)
    store.commit(row(1))

    def refused(self, name, content):
        raise PermissionError(name)

    monkeypatch.setattr(Folder, "write_bytes", refused)
    assert store.rows()["seed"].tolist() == [1]


def test_what_is_damaged_in_a_folder_that_cannot_be_written_is_said_to_stay(tmp_path, monkeypatch):
    store = open_store(tmp_path)
    store.files.write_bytes("a.json", b"torn")

    def refused(self):
        raise PermissionError("read-only")

    monkeypatch.setattr(Folder, "changing", refused)
    with pytest.warns(DamagedFile, match=rf"cannot read a\.json \(torn\); left in {tmp_path}, which cannot be written"):
        store.files.set_aside("a.json", "torn")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_write_that_fails_leaves_the_old_file_and_no_scratch(tmp_path, monkeypatch, code):
    store = open_store(tmp_path)
    store.files.write_bytes("a.bin", b"old")

    def full(descriptor):
        raise OSError(code, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FolderFull, match=rf"{os.strerror(code)}: a\.bin does not fit into .*\. Free some space"):
        store.files.write_bytes("a.bin", b"new")
    assert store.files.read_bytes("a.bin") == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_an_empty_folder_has_no_rows_and_is_not_created(tmp_path):
    assert read_rows(tmp_path / "none").empty
    assert not (tmp_path / "none").exists()


def test_paths_may_be_relative_or_begin_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    open_store("r").commit(row(1, stage="train"))
    assert compact_results(open_store("~/r"), "one.parquet") == compact_results(open_store("r"), "~/two.parquet") == 1
    assert restore_results("~/one.parquet", open_store("~/back")) == 1
    assert len(read_rows("back")) == 1
    (report, *_) = write_report("r", "~/report")
    assert report == tmp_path / "report" / "report.md"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["back", "one.parquet", "r", "report", "two.parquet"]


def test_a_folder_name_with_blanks_and_signs_works(tmp_path):
    store = open_store(tmp_path / "my results #1 100%")
    store.commit(row(1))
    assert (tmp_path / "my results #1 100%" / "rows").is_dir()
    assert len(store.rows()) == 1


def test_a_file_system_uri_works_like_a_path(tmp_path):
    store = open_store(tmp_path.as_uri())
    store.commit(row(1))
    assert np.isclose(read_rows(tmp_path)["forget_accuracy"][0], 0.5)


def test_a_row_that_lacks_a_later_column_has_null_there(tmp_path):
    store = open_store(tmp_path)
    store.commit(row(1, setup_seconds=1.5, preparation_seconds=0.5))
    path = tmp_path / "rows" / f"{1:016x}.parquet"
    path.write_bytes(sealed_parquet(pq.read_table(path).drop_columns(["preparation_seconds", "training"])))
    found = store.row(f"{1:016x}")
    assert (found["setup_seconds"], found["preparation_seconds"], found["training"]) == (1.5, None, None)
