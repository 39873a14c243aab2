"""Each plan of a launch is recorded, and rows name the sweeps that they belong to."""

from __future__ import annotations

import pandas as pd
import pytest

from orchestrator.errors import DamagedFile
from orchestrator.results.store import open_store
from orchestrator.results.sweep_records import only_in_replaced, record_sweep, recorded_sweeps, records_of, with_sweeps


@pytest.fixture
def files(tmp_path):
    return open_store(tmp_path).files


def titles(files) -> list[str]:
    return [record.title.partition("@")[0] + "@" * record.replaced for record in recorded_sweeps(files)]


def test_two_different_sweeps_with_one_name_are_both_recorded_and_the_last_is_current(files) -> None:
    record_sweep(files, "mine", {"seeds": [0]}, ["a", "b"])
    record_sweep(files, "mine", {"seeds": [1]}, ["b", "c"])
    last, earlier = recorded_sweeps(files)
    assert (last.title, last.trials, last.values, last.replaced) == ("mine", ("b", "c"), {"seeds": [1]}, False)
    assert (earlier.title, earlier.trials, earlier.replaced) == (f"mine@{earlier.plan}", ("a", "b"), True)


def test_an_extended_sweep_has_one_record(files) -> None:
    record_sweep(files, "mine", {}, ["a", "b"])
    record_sweep(files, "mine", {}, ["c", "b", "a"])
    (record,) = recorded_sweeps(files)
    assert set(record.trials) == {"a", "b", "c"}


def test_a_plan_that_was_extended_before_another_replaced_it_is_listed_once(files) -> None:
    for trials in (["a"], ["a", "b"], ["c"]):
        record_sweep(files, "mine", {}, trials)
    assert [set(record.trials) for record in recorded_sweeps(files)] == [{"c"}, {"a", "b"}]


def test_running_an_earlier_plan_again_makes_it_current(files) -> None:
    for trials in (["a", "b"], ["a", "c"], ["b", "a"]):
        record_sweep(files, "mine", {}, trials)
    assert [set(record.trials) for record in recorded_sweeps(files)] == [{"a", "b"}, {"a", "c"}]
    assert titles(files) == ["mine", "mine@"]


@pytest.mark.parametrize("names", [("数字", "说话人"), ("Mine", "mine"), (".mine", "mine"), ("x" * 300, "x" * 301)])
def test_sweeps_whose_names_a_file_system_may_confuse_are_both_recorded(files, names) -> None:
    for name in names:
        record_sweep(files, name, {}, ["a"])
    assert {record.name for record in recorded_sweeps(files)} == set(names)


def test_rows_name_all_sweeps_that_planned_them(files) -> None:
    record_sweep(files, "mine", {}, ["a", "b"])
    record_sweep(files, "mine", {}, ["b", "c"])
    record_sweep(files, "other", {}, ["b", "c"])
    records = recorded_sweeps(files)
    rows = pd.DataFrame({"trial_id": list("abcd"), "sweep": ["mine", "mine", "mine", "restored"]})
    old = records[1].title
    assert with_sweeps(rows, records)["sweeps"].tolist() == [old, f"mine,{old},other", "mine,other", "restored"]


def test_only_trials_that_no_current_plan_contains_count_as_replaced(files) -> None:
    record_sweep(files, "mine", {}, ["a", "b", "c"])
    record_sweep(files, "mine", {}, ["c", "d"])
    record_sweep(files, "other", {}, ["b"])
    assert only_in_replaced(recorded_sweeps(files)) == {"a"}


def test_a_sweep_is_found_with_its_search_and_an_earlier_plan_by_its_title(files) -> None:
    record_sweep(files, "mine", {}, ["a"])
    record_sweep(files, "mine", {}, ["b"])
    record_sweep(files, "mine.tune", {}, ["t"])
    records = recorded_sweeps(files)
    assert [record.trials for record in records_of(records, "mine")] == [("b",), ("t",)]
    assert [record.trials for record in records_of(records, records[1].title)] == [("a",)]
    assert records_of(records, "min") == []


@pytest.mark.parametrize("damage", [lambda text: "", lambda text: text[:12], lambda text: text.replace("old", "odd")])
def test_a_damaged_record_is_named_in_a_warning_and_omitted(tmp_path, files, damage) -> None:
    record_sweep(files, "whole", {}, ["a"])
    record_sweep(files, "torn", {}, ["old"])
    (record,) = (tmp_path / "sweeps").glob("torn--*.json")
    record.write_text(damage(record.read_text()))
    with pytest.warns(DamagedFile, match=rf"cannot read sweeps/{record.name}"):
        assert titles(files) == ["whole"]
    assert (tmp_path / "damaged" / "sweeps" / record.name).exists()
