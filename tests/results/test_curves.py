"""Curves are files of their own, read in any number, and a damaged one costs nothing but itself."""

from __future__ import annotations

import pytest

from orchestrator.errors import DamagedFile
from orchestrator.results.curves import CURVE_SCHEMA, read_curve, read_curves, write_curve
from orchestrator.results.store import open_store


def point(epoch: int) -> dict[str, object]:
    return {"point": "epoch", "epoch": epoch, "forget_accuracy": 1 / epoch, "validation_accuracy": None}


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path)
    write_curve(store, "a" * 16, [point(1), point(2)])
    write_curve(store, "b" * 16, [point(1)])
    return store


def test_curves_of_all_trials_are_one_table(store):
    found = read_curves(store)
    assert list(found.columns) == ["trial_id", *CURVE_SCHEMA.names]
    assert list(found["trial_id"]) == ["a" * 16, "a" * 16, "b" * 16]
    assert list(found["epoch"]) == [1, 2, 1]
    assert found["validation_accuracy"].isna().all()


def test_some_curves_are_read_and_a_trial_without_one_is_left_out(store):
    assert set(read_curves(store, ["b" * 16, "c" * 16])["trial_id"]) == {"b" * 16}
    assert read_curves(open_store(store.files.local_path / "nothing")).empty


def test_a_curve_is_replaced_as_a_whole(store):
    write_curve(store, "a" * 16, [point(4)])
    assert [one["epoch"] for one in read_curve(store, "a" * 16)] == [4]


def test_a_damaged_curve_is_named_and_left_out_and_runs_no_trial_again(store):
    path = store.files.local_path / store.curves.path("a" * 16)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.warns(DamagedFile, match=r"cannot read curves/a+\.parquet .* this curve is left out"):
        assert set(read_curves(store)["trial_id"]) == {"b" * 16}
    assert path.is_file()
    assert store.incomplete() == set()
