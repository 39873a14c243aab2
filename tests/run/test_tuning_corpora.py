"""Searches on other recordings are refused if one of them is reported, too."""

from __future__ import annotations

import pytest
from small_sweep import sweep
from tasks.recordings import digits

from orchestrator import load_sweep, read_rows, run_sweep, tune_sweep
from orchestrator.plan.sweep_schema import SweepError
from orchestrator.plan.tuned_settings import read_lock
from orchestrator.results.store import open_store
from orchestrator.run.searches import search_grid
from orchestrator.run.tuning_corpora import require_other_recordings

PATTERN = r"(?P<label>\d)_(?P<speaker>[a-z]+)_(?P<take>\d+)"


def made(root, reported, tuned):
    task = {"name": "audio_folder", "root": str(root), "pattern": PATTERN, "as": "digits"}
    where = {"where": {"take": list(reported)}, "tune_on": {"where": {"take": list(tuned)}}}
    return sweep(tasks=[{**task, **where}], unlearning=[{"kind": "class"}])


def compare(one, folder, **options):
    require_other_recordings(one, search_grid(one), open_store(folder / "r"), folder / "cache", **options)


def test_a_recording_in_both_is_named_and_other_takes_pass(tmp_path):
    root = digits(tmp_path / "digits")
    compare(made(root, range(5), range(5, 10)), tmp_path)
    with pytest.raises(SweepError, match=r"tune_on of digits must name other .* 6 in both \(0_ann_4.*and 3 more"):
        compare(made(root, range(5), range(4, 10)), tmp_path)


def test_corpora_that_are_not_in_the_cache_are_compared_only_if_they_may_be_built(tmp_path):
    overlapping = made(digits(tmp_path / "digits"), range(5), range(4, 10))
    compare(overlapping, tmp_path, build=False)
    assert not (tmp_path / "cache" / "corpora").exists()


def test_a_search_elsewhere_serves_the_reported_task_and_rows_say_so(begun, small_sweep, tmp_path, cache_dir):
    changes = ["methods=[original, retrain, grad_ascent]", "tasks.0.tune_on={seed: 9}", "tuning={trials: 2}"]
    lock = tmp_path / "small.lock.yaml"
    tune_sweep(load_sweep(small_sweep, changes), begun, executor="local", cache_dir=cache_dir, lock=lock)
    (choice,) = read_lock(lock).choices
    assert (choice.task, dict(choice.tuned_on)) == ("espeak_keywords", {"seed": 9})
    changes.append(f"lock={lock}")
    run_sweep(load_sweep(small_sweep, changes), begun, executor="local", cache_dir=cache_dir)
    rows = read_rows(begun)
    searched = rows[rows["stage"] == "tune"]
    assert set(searched["corpus_fingerprint"]) == {choice.corpus}
    (row,) = rows[rows["lock"].fillna("") != ""].to_dict("records")
    assert row["lock"] == f"gap_to_retrain on corpus {choice.corpus}"
    assert row["corpus_fingerprint"] != choice.corpus
    assert row["tuned_settings"] == '["learning_rate","epochs"]'
    assert row["status"] == "done"
    assert row["epochs_ended"] > 0
