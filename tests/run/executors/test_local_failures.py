"""Errors in one process: rows, retries, and launches that stop."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from orchestrator import load_sweep, plan_sweep, read_rows, run_sweep
from orchestrator.plan.sweep_schema import SweepError


def planned(loaded) -> list[str]:
    """Ids of a sweep's trials."""
    return [spec.trial_id for spec in plan_sweep(loaded).grid.trials]


def of_plan(rows, loaded):
    """Rows of the trials that a sweep plans."""
    return rows[rows["trial_id"].isin(planned(loaded))]


def remove_row(results, method: str) -> None:
    """Delete the row of a method's one trial, which then runs again."""
    rows = read_rows(results)
    (trial_id,) = rows.loc[(rows["method"] == method) & (rows["stage"] == "unlearn"), "trial_id"]
    (results / "rows" / f"{trial_id}.parquet").unlink()


def test_weights_that_are_finite_but_give_no_finite_loss_have_diverged(small_sweep, cache_dir, begun):
    loaded = load_sweep(small_sweep, ["methods=[original, {name: grad_ascent, learning_rate: 1.0e+30}]"])
    dispatcher = run_sweep(loaded, begun, executor="local", cache_dir=cache_dir)
    rows = of_plan(read_rows(begun), loaded).set_index("method")
    assert dispatcher.graph.counts() == {"done": 2, "diverged": 1}
    assert rows.loc["grad_ascent", ["status", "stop_reason"]].tolist() == ["diverged", "diverged"]
    assert np.isnan(rows.loc["grad_ascent", "test_accuracy"])


def test_an_original_with_a_loss_that_is_not_finite_has_diverged_and_has_no_children(
    small_sweep, cache_dir, tmp_path, monkeypatch
):
    from orchestrator.run.evaluation import answers

    real = answers.predict
    monkeypatch.setattr(answers, "predict", lambda *args: real(*args) * float("nan"))
    dispatcher = run_sweep(load_sweep(small_sweep), tmp_path / "r", executor="local", cache_dir=cache_dir)
    rows = read_rows(tmp_path / "r").set_index("stage")
    assert rows["status"].to_dict() == {"train": "diverged", "retrain": "diverged"}
    assert set(dispatcher.graph.blocked) == {
        spec.trial_id for spec in dispatcher.specs.values() if spec.stage == "unlearn"
    }
    assert not (tmp_path / "r" / "models").exists()


def test_divergence_is_a_row_and_blocks_only_its_children(small_sweep, cache_dir, tmp_path, injected):
    loaded = load_sweep(small_sweep, ["training.learning_rate=1e30", "clip_norm=1e30"])
    dispatcher = run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    ran, came = (
        set(planned(loaded)) - set(dispatcher.graph.blocked),
        "a `diverged` row; what depends on it is `blocked`",
    )
    injected("a loss that is not finite", came, tmp_path / "r", ran)
    rows = read_rows(tmp_path / "r").set_index("stage")
    assert rows.loc["train", "status"] == rows.loc["retrain", "status"] == "diverged"
    assert "step" in rows.loc["train", "error"]
    assert len(dispatcher.graph.blocked) == 3


def test_a_bug_in_a_method_is_a_row_with_its_traceback_and_retried_only_on_request(
    small_sweep, cache_dir, begun, monkeypatch, injected
):
    from methods.scrub import Scrub

    calls = []

    def broken(self, problem):
        calls.append(1)
        raise KeyError("a bug")
        yield

    loaded = load_sweep(small_sweep)
    remove_row(begun, "scrub")
    with monkeypatch.context() as patch:
        patch.setattr(Scrub, "passes", broken)
        run_sweep(loaded, begun, executor="local", cache_dir=cache_dir)
        run_sweep(loaded, begun, executor="local", cache_dir=cache_dir)
    assert calls == [1]
    injected("a bug in a method", "a `failed` row with its traceback", begun, planned(loaded))
    row = read_rows(begun).set_index("method").loc["scrub"]
    assert row["status"] == "failed"
    assert "KeyError: 'a bug'" in row["error"]
    run_sweep(loaded, begun, executor="local", cache_dir=cache_dir, retry_failed=True)
    assert read_rows(begun).set_index("method").loc["scrub", "status"] == "done"


def test_an_error_of_the_moment_is_tried_again(
    small_sweep, finished_small, cache_dir, begun, monkeypatch, comparable, injected
):
    from orchestrator.run.evaluation import answers

    failures = [OSError("disk hiccup")]
    real = answers.predict

    def flaky(*args):
        if failures:
            raise failures.pop()
        return real(*args)

    monkeypatch.setattr(answers, "predict", flaky)
    loaded = load_sweep(small_sweep)
    remove_row(begun, "scrub")
    run_sweep(loaded, begun, executor="local", cache_dir=cache_dir)
    undisturbed = comparable(finished_small / "r")
    injected("a temporary error of the file system", "the trial is retried", begun, undisturbed)
    assert set(read_rows(begun)["status"]) == {"done"}


def test_a_sweep_without_its_data_does_not_start(small_sweep, tmp_path):
    loaded = load_sweep(small_sweep, ["tasks=[{name: audio_folder, root: /nowhere}]"])
    with pytest.raises(SweepError, match="/nowhere"):
        run_sweep(loaded, tmp_path / "r", executor="local")
    assert not (tmp_path / "r").exists()


BROKEN = ["methods=[original, {name: scrub, learning_rate: [1.0e-5, 2.0e-5, 3.0e-5, 4.0e-5]}, grad_ascent]"]


def test_the_same_error_in_many_trials_stops_the_run_which_goes_on_once_it_is_mended(
    small_sweep, cache_dir, begun, monkeypatch, injected
):
    from methods.scrub import Scrub

    def broken(self, problem):
        raise KeyError("a bug")
        yield

    loaded = load_sweep(small_sweep, BROKEN)
    with monkeypatch.context() as patch:
        patch.setattr(Scrub, "passes", broken)
        dispatcher = run_sweep(loaded, begun, executor="local", cache_dir=cache_dir, error_limit=3)
    assert "the same error in 3 trials" in dispatcher.stopped
    assert "KeyError: 'a bug'" in dispatcher.stopped
    assert not dispatcher.over
    assert sorted(of_plan(read_rows(begun), loaded)["status"]) == ["done"] * 2 + ["failed"] * 3
    dispatcher = run_sweep(loaded, begun, executor="local", cache_dir=cache_dir, retry_failed=True)
    assert dispatcher.graph.counts() == {"done": 7}
    came = "no more trials are handed out; once fixed, `--retry failed` runs them"
    injected("the same error in many trials", came, begun, planned(loaded))


def test_a_full_disk_stops_the_run_leaves_no_half_file_and_the_run_goes_on_with_room(
    small_sweep, finished, cache_dir, tmp_path, monkeypatch, comparable, injected
):
    results, real = tmp_path / "r", os.fsync

    def full(descriptor):
        if len(list(results.glob("rows/*.parquet"))) >= 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    loaded = load_sweep(small_sweep)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        dispatcher = run_sweep(loaded, results, executor="local", cache_dir=cache_dir)
    assert "No space left on device" in dispatcher.stopped
    assert "does not fit into" in dispatcher.stopped
    before = read_rows(results)
    assert before["status"].tolist() == ["done", "done"]
    assert [p.name for p in results.rglob(".*") if p.is_file() and p.suffix != ".lock"] == []
    kept = {path.name: path.stat().st_mtime_ns for path in results.glob("rows/*.parquet")}
    assert run_sweep(loaded, results, executor="local", cache_dir=cache_dir).graph.counts() == {"done": 5}
    came = "the launch stops and leaves no half file; with free space the same command continues"
    injected("a full disk", came, results, of_plan(comparable(finished[1]), loaded), finished=kept)
