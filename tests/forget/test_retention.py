from __future__ import annotations

import os
import shutil
import time

import pytest

from orchestrator.forget.retention import DAY_SECONDS, KINDS, delete, is_known, to_delete


def age(path, days):
    for file in [path] if path.is_file() else path.rglob("*"):
        os.utime(file, (time.time() - days * DAY_SECONDS,) * 2)


@pytest.fixture
def results(finished_small, tmp_path):
    return shutil.copytree(finished_small / "r", tmp_path / "r")


def test_what_is_older_than_the_rule_allows_is_deleted_and_rows_are_kept(results):
    old = sorted((results / "outputs").iterdir())[0]
    age(old, 40)
    found = to_delete(results, keep_days=30)
    assert [one.path for one in found] == [old]
    assert delete(found, results) == found[0].num_bytes > 0
    assert not old.exists()
    assert len(list((results / "rows").iterdir())) == 5


def test_above_the_quota_the_oldest_is_deleted_first_until_the_rest_fits(results):
    candidates = to_delete(results, quota_bytes=0)
    for days, one in enumerate(candidates):
        age(one.path, days)
    total, largest = sum(one.num_bytes for one in candidates), candidates[-1]
    found = to_delete(results, quota_bytes=total - 1)
    assert [one.path for one in found] == [largest.path]
    assert {one.path for one in to_delete(results, quota_bytes=0)} == {one.path for one in candidates}


def test_embeddings_are_deleted_with_outputs(results):
    shutil.copytree(results / "outputs", results / "embeddings")
    found = to_delete(results, kinds=["outputs"], quota_bytes=0)
    assert {one.path.parent.name for one in found} == {"outputs", "embeddings"}


def test_a_rule_for_one_kind_leaves_the_others(results):
    found = to_delete(results, kinds=["logits"], quota_bytes=0)
    assert {one.path.parent.name for one in found} == {"logits"}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_deleted_by_age_and_by_quota_and_nothing_else_is_touched(tmp_path, kind):
    """Three trials of 30, 20 and 10 days and 1 kB a file in each folder; what is listed stays until it is deleted."""
    shelves = [shelf for folders in KINDS.values() for shelf in folders]
    for shelf in ("rows", "curves", *shelves):
        for days in (30, 20, 10):
            file = tmp_path / shelf / (f"t{days}/model.safetensors" if shelf == "unlearned" else f"t{days}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(bytes(1000))
            age(file, days)
    mine, everything = KINDS[kind], {path for path in tmp_path.rglob("*") if path.is_file()}

    def of(*days):
        return {tmp_path / shelf / f"t{number}" for shelf in mine for number in days}

    old = to_delete(tmp_path, kinds=[kind], keep_days=25)
    assert {one.path for one in old} == of(30)
    above = to_delete(tmp_path, kinds=[kind], quota_bytes=1000 * len(mine))
    assert {one.path for one in above} == of(30, 20)
    assert not to_delete(tmp_path, kinds=[kind], keep_days=31, quota_bytes=3000 * len(mine))
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == everything
    assert delete(above, tmp_path) == 2000 * len(mine)
    left = {path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "leases"}
    gone = {path for path in everything if path.parent.name in ("t30", "t20") or path.name in ("t30", "t20")}
    assert everything - left == {path for path in gone if path.relative_to(tmp_path).parts[0] in mine}


def test_kept_outputs_of_a_request_are_deleted_and_its_report_and_model_are_not(first, tmp_path):
    for name in ("first", "queue/first", ".first-a1/result"):  # served, by a list, and under way
        shutil.copytree(first.folder, tmp_path / "served" / name)
    found = to_delete(tmp_path / "served", quota_bytes=0)
    kept = {tmp_path / "served" / name / "evidence/outputs.parquet" for name in ("first", "queue/first")}
    assert {one.path for one in found} == kept
    delete(found, tmp_path / "served")
    assert (tmp_path / "served/first/report.json").exists()
    assert (tmp_path / "served/first/model/model.safetensors").exists()


@pytest.mark.parametrize(
    ("rule", "said"),
    [({}, "Give a rule"), ({"kinds": ["rows"], "keep_days": 1.0}, "Unknown kind 'rows'")],
)
def test_a_rule_that_names_nothing_or_something_unknown_is_refused(results, rule, said):
    with pytest.raises(ValueError, match=said):
        to_delete(results, **rule)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no folder"):
        to_delete(tmp_path / "nothing", keep_days=1.0)


def test_a_folder_with_nothing_to_look_at_is_known_as_such(first, finished_small, tmp_path):
    assert not is_known(tmp_path)
    assert not is_known(finished_small)
    assert is_known(finished_small / "r")
    assert is_known(first.folder.parent)
