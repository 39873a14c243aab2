from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest

from orchestrator.results import SCHEMA, open_store, read_rows


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
    with pytest.raises(ValueError, match="no such column: accuracy_forget"):
        open_store(tmp_path).commit(row(1, accuracy_forget=1.0))


def test_a_second_commit_replaces_the_first_also_behind_the_index(tmp_path):
    store = open_store(tmp_path)
    store.commit(row(1))
    assert len(store.rows()) == 1  # the index now holds it
    store.commit(row(1, status="failed"))
    assert store.statuses() == {f"{1:016x}": "failed"}


def test_the_index_follows_new_and_deleted_rows(tmp_path):
    store = open_store(tmp_path)
    store.commit(row(1))
    store.commit(row(2))
    assert len(store.rows()) == 2
    store.commit(row(3))
    store.files.delete(f"rows/{1:016x}.parquet")
    assert store.rows()["seed"].tolist() == [2, 3]


def test_a_torn_index_is_rebuilt(tmp_path):
    store = open_store(tmp_path)
    store.commit(row(1))
    store.rows()
    (tmp_path / "index.parquet").write_bytes(b"PAR1 torn")
    assert store.rows()["seed"].tolist() == [1]


def test_a_write_that_fails_leaves_the_old_file_and_no_scratch(tmp_path, monkeypatch):
    store = open_store(tmp_path)
    store.files.write_bytes("a.bin", b"old")

    def full(descriptor):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.files.write_bytes("a.bin", b"new")
    assert store.files.read_bytes("a.bin") == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_an_empty_folder_has_no_rows_and_is_not_created(tmp_path):
    assert read_rows(tmp_path / "none").empty
    assert not (tmp_path / "none").exists()


def test_a_folder_name_with_blanks_and_signs_works(tmp_path):
    store = open_store(tmp_path / "my results #1 100%")
    store.commit(row(1))
    assert (tmp_path / "my results #1 100%" / "rows").is_dir()
    assert len(store.rows()) == 1


def test_a_file_system_uri_works_like_a_path(tmp_path):
    store = open_store(tmp_path.as_uri())
    store.commit(row(1))
    assert np.isclose(read_rows(tmp_path)["forget_accuracy"][0], 0.5)
