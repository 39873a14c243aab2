"""The whole path on a small corpus: plan, run, rows, resume, failures; one process, no Ray."""

from __future__ import annotations

import errno
import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from orchestrator import load_sweep, plan_sweep, read_rows, run_sweep
from orchestrator.errors import DamagedFile
from orchestrator.plan.sweep_schema import SweepError
from orchestrator.report.evidence.folder import folder_evidence
from orchestrator.results.store import open_store


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache_dir, write_small):
    """One finished run of the small sweep, with class unlearning beside samples."""
    folder = tmp_path_factory.mktemp("finished")
    loaded = load_sweep(
        write_small(folder), ["unlearning=[{kind: sample, forget_ratio: 0.1}, {kind: class, classes: [go]}]"]
    )
    dispatcher = run_sweep(loaded, folder / "results", executor="local", cache_dir=cache_dir)
    return loaded, folder / "results", dispatcher


def test_every_planned_trial_has_one_row_that_is_done(finished):
    loaded, results, dispatcher = finished
    rows = read_rows(results)
    assert sorted(rows["trial_id"]) == sorted(spec.trial_id for spec in plan_sweep(loaded).grid.trials)
    assert set(rows["status"]) == {"done"}
    assert dispatcher.over


def test_rows_are_filled(finished):
    rows = read_rows(finished[1])
    unlearned = rows[rows["unlearning"] != "none"]
    assert unlearned[unlearned["unlearning"] == "sample"]["mia_auc"].notna().all()
    for column in ("forget_accuracy", "retain_macro_f1", "test_loss", "test_largest_prediction_share", "mia_nonmember"):
        assert unlearned[column].notna().all(), column
    assert (rows["samples"] > 0).sum() == len(rows) - 2  # the two lines of Original do nothing
    assert set(rows["mia_reference"].dropna()) == {"holdout"}


def test_original_lines_repeat_the_originals_scores(finished):
    rows = read_rows(finished[1])
    trained = rows[rows["stage"] == "train"].iloc[0]
    for _, line in rows[(rows["method"] == "original") & (rows["stage"] == "unlearn")].iterrows():
        assert line["test_accuracy"] == trained["test_accuracy"]
        assert line["validation_loss"] == pytest.approx(trained["validation_loss"], rel=1e-6)


def test_the_originals_outputs_are_never_made_again(small_sweep, cache_dir, tmp_path, monkeypatch):
    from orchestrator.run import trial_steps

    calls = []
    real = trial_steps.predict
    monkeypatch.setattr(trial_steps, "predict", lambda *args: calls.append(1) or real(*args))
    loaded = load_sweep(small_sweep, ["unlearning=[{kind: sample, forget_ratio: [0.1, 0.2]}]", "methods=[original]"])
    run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    assert len(read_rows(tmp_path / "r")) == 3
    assert len(calls) == 1


def test_all_methods_forget_the_same_utterances(finished):
    store = open_store(finished[1])
    rows = store.rows()
    for _, group in rows[rows["unlearning"] != "none"].groupby("unlearning"):
        forgotten = set()
        for trial_id in group["trial_id"]:
            outputs = pd.read_parquet(finished[1] / "outputs" / f"{trial_id}.parquet")
            forgotten.add(tuple(sorted(outputs[outputs["part"] == "forget"]["utterance_id"])))
        assert len(forgotten) == 1


def test_class_unlearning_forgets_the_class_and_scores_it_apart(finished):
    rows = read_rows(finished[1])
    row = rows[(rows["unlearning"] == "class") & (rows["method"] == "retrain")].iloc[0]
    assert row["forget_classes"] == "go"
    assert row["test_accuracy_forgotten_classes"] == 0.0
    assert row["test_accuracy_kept_classes"] > 0.0


def test_stored_outputs_give_the_rows_accuracies(finished):
    rows = read_rows(finished[1])
    row = rows[rows["method"] == "scrub"].iloc[0]
    outputs = pd.read_parquet(finished[1] / "outputs" / f"{row['trial_id']}.parquet")
    logits = np.stack(outputs["logits"].to_numpy())
    correct = logits.argmax(axis=1) == outputs["label"]
    for part in ("forget", "test", "validation", "holdout"):
        assert correct[outputs["part"] == part].mean() == pytest.approx(row[f"{part}_accuracy"])


def test_a_second_run_has_nothing_to_do(finished, cache_dir):
    loaded, results, _ = finished
    before = {p.name: p.stat().st_mtime_ns for p in (results / "rows").iterdir()}
    dispatcher = run_sweep(loaded, results, executor="local", cache_dir=cache_dir)
    assert dispatcher.num_already_done == len(before)
    assert {p.name: p.stat().st_mtime_ns for p in (results / "rows").iterdir()} == before


def test_the_budget_holds_and_is_recorded(small_sweep, cache_dir, tmp_path):
    tight = load_sweep(small_sweep, ["time_budget={fraction: 0.2, unit: samples}"])
    run_sweep(tight, tmp_path / "r", executor="local", cache_dir=cache_dir)
    rows = read_rows(tmp_path / "r").set_index("method")
    scrub = rows.loc["scrub"]
    assert scrub["stop_reason"] == "budget"
    assert scrub["budget_source"] == "retrain schedule"
    assert scrub["budget_samples"] == pytest.approx(0.2 * 2 * rows.loc["retrain", "num_retain"])
    assert scrub["budget_samples"] <= scrub["samples"] < scrub["budget_samples"] + 32 * 4 / 3


def test_a_seconds_budget_comes_from_retrains_charge(small_sweep, cache_dir, tmp_path):
    loaded = load_sweep(small_sweep, ["time_budget={fraction: 0.5, unit: seconds}"])
    run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    rows = read_rows(tmp_path / "r").set_index("method")
    assert rows.loc["scrub", "budget_seconds"] == pytest.approx(0.5 * rows.loc["retrain", "optimization_seconds"])
    assert rows.loc["scrub", "budget_source"] == "retrain seconds"


def test_without_retrain_the_seconds_come_from_the_original(small_sweep, cache_dir, tmp_path):
    overrides = ["time_budget={fraction: 0.5, unit: seconds}", "methods=[grad_ascent]"]
    run_sweep(load_sweep(small_sweep, overrides), tmp_path / "r", executor="local", cache_dir=cache_dir)
    rows = read_rows(tmp_path / "r").set_index("method")
    expected = 0.5 * rows.loc["original", "optimization_seconds"] * (1 - rows.loc["grad_ascent", "forget_ratio"])
    assert rows.loc["grad_ascent", "budget_seconds"] == pytest.approx(expected)
    assert rows.loc["grad_ascent", "budget_source"] == "original seconds"


def test_weights_that_are_finite_but_give_no_finite_loss_have_diverged(small_sweep, cache_dir, tmp_path):
    loaded = load_sweep(small_sweep, ["methods=[original, {name: grad_ascent, learning_rate: 1.0e+30}]"])
    dispatcher = run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    rows = read_rows(tmp_path / "r").set_index("method")
    assert dispatcher.graph.counts() == {"done": 2, "diverged": 1}
    assert rows.loc["grad_ascent", ["status", "stop_reason"]].tolist() == ["diverged", "diverged"]
    assert np.isnan(rows.loc["grad_ascent", "test_accuracy"])


def test_an_original_with_a_loss_that_is_not_finite_has_diverged_and_has_no_children(
    small_sweep, cache_dir, tmp_path, monkeypatch
):
    from orchestrator.run import trial_steps

    real = trial_steps.predict
    monkeypatch.setattr(trial_steps, "predict", lambda *args: real(*args) * float("nan"))
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
    small_sweep, cache_dir, tmp_path, monkeypatch, injected
):
    from methods.scrub import Scrub

    calls = []

    def broken(self, problem):
        calls.append(1)
        raise KeyError("a bug")
        yield

    loaded = load_sweep(small_sweep)
    with monkeypatch.context() as patch:
        patch.setattr(Scrub, "passes", broken)
        run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
        run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    assert calls == [1]
    injected("a bug in a method", "a `failed` row with its traceback", tmp_path / "r", planned(loaded))
    row = read_rows(tmp_path / "r").set_index("method").loc["scrub"]
    assert row["status"] == "failed"
    assert "KeyError: 'a bug'" in row["error"]
    run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir, retry_failed=True)
    assert read_rows(tmp_path / "r").set_index("method").loc["scrub", "status"] == "done"


def test_an_error_of_the_moment_is_tried_again(
    small_sweep, finished, cache_dir, tmp_path, monkeypatch, comparable, injected
):
    from orchestrator.run import trial_steps

    failures = [OSError("disk hiccup")]
    real = trial_steps.predict

    def flaky(*args):
        if failures:
            raise failures.pop()
        return real(*args)

    monkeypatch.setattr(trial_steps, "predict", flaky)
    loaded = load_sweep(small_sweep)
    run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    undisturbed = of_plan(comparable(finished[1]), loaded)
    injected("a temporary error of the file system", "the trial is retried", tmp_path / "r", undisturbed)
    assert set(read_rows(tmp_path / "r")["status"]) == {"done"}


def test_a_sweep_without_its_data_does_not_start(small_sweep, tmp_path):
    loaded = load_sweep(small_sweep, ["tasks=[{name: audio_folder, root: /nowhere}]"])
    with pytest.raises(SweepError, match="/nowhere"):
        run_sweep(loaded, tmp_path / "r", executor="local")
    assert not (tmp_path / "r").exists()


def test_a_study_tunes_the_original_and_the_winner_trains_it(small_sweep, cache_dir, tmp_path):
    overrides = ["methods=[original]", "training.study={trials: 3, learning_rate: [1.0e-4, 1.0e-2], epochs: [1, 2]}"]
    run_sweep(load_sweep(small_sweep, overrides), tmp_path / "r", executor="local", cache_dir=cache_dir)
    rows = read_rows(tmp_path / "r")
    searched = rows[rows["stage"] == "study"]
    best = searched.sort_values(["objective", "study_trial"]).iloc[0]
    assert len(searched) == 3
    assert json.loads(rows[rows["stage"] == "train"].iloc[0]["settings"]) == json.loads(best["settings"])


def test_kept_models_are_written_whole(small_sweep, cache_dir, tmp_path):
    overrides = ["keep_models=final", "methods=[original, retrain, grad_ascent]"]
    run_sweep(load_sweep(small_sweep, overrides), tmp_path / "r", executor="local", cache_dir=cache_dir)
    rows = read_rows(tmp_path / "r")
    kept = {folder.name for folder in (tmp_path / "r" / "unlearned").iterdir()}
    lines = rows[(rows["stage"] != "unlearn") | (rows["method"] != "original")]  # that line is the original itself
    assert set(lines["stage"]) == {"train", "retrain", "unlearn"}
    assert kept == set(lines["trial_id"])
    assert all((tmp_path / "r" / "unlearned" / name / "model.safetensors").is_file() for name in kept)


BROKEN = ["methods=[original, {name: scrub, learning_rate: [1.0e-5, 2.0e-5, 3.0e-5, 4.0e-5]}, grad_ascent]"]


def test_the_same_error_in_many_trials_stops_the_run_which_goes_on_once_it_is_mended(
    small_sweep, cache_dir, tmp_path, monkeypatch, injected
):
    from methods.scrub import Scrub

    def broken(self, problem):
        raise KeyError("a bug")
        yield

    loaded = load_sweep(small_sweep, BROKEN)
    with monkeypatch.context() as patch:
        patch.setattr(Scrub, "passes", broken)
        dispatcher = run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir, error_limit=3)
    assert "the same error in 3 trials" in dispatcher.stopped
    assert "KeyError: 'a bug'" in dispatcher.stopped
    assert not dispatcher.over
    assert sorted(read_rows(tmp_path / "r")["status"]) == ["done"] * 2 + ["failed"] * 3
    dispatcher = run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir, retry_failed=True)
    assert dispatcher.graph.counts() == {"done": 7}
    came = "no more trials are handed out; once fixed, `--retry failed` runs them"
    injected("the same error in many trials", came, tmp_path / "r", planned(loaded))


def test_a_full_disk_stops_the_run_leaves_no_half_file_and_the_run_goes_on_with_room(
    small_sweep, finished, cache_dir, tmp_path, monkeypatch, comparable, injected
):
    results, real, whole = tmp_path / "r", os.fsync, [9]

    def full(descriptor):
        if not whole[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole[0] -= 1
        real(descriptor)

    loaded = load_sweep(small_sweep)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        dispatcher = run_sweep(loaded, results, executor="local", cache_dir=cache_dir)
    assert "No space left on device" in dispatcher.stopped
    assert "does not fit into" in dispatcher.stopped
    before = read_rows(results)
    assert set(before["status"]) == {"done"}
    assert 0 < len(before) < 5
    assert [p.name for p in results.rglob(".*") if p.is_file() and p.suffix != ".lock"] == []
    kept = {path.name: path.stat().st_mtime_ns for path in results.glob("rows/*.parquet")}
    assert run_sweep(loaded, results, executor="local", cache_dir=cache_dir).graph.counts() == {"done": 5}
    came = "the launch stops and leaves no half file; with free space the same command continues"
    injected("a full disk", came, results, of_plan(comparable(finished[1]), loaded), finished=kept)


@pytest.fixture
def damaged(finished, tmp_path):
    """A copy of the finished results, to be damaged."""
    shutil.copytree(finished[1], tmp_path / "r")
    return finished[0], tmp_path / "r", read_rows(tmp_path / "r")


def planned(loaded) -> list[str]:
    """Ids of a sweep's trials."""
    return [spec.trial_id for spec in plan_sweep(loaded).grid.trials]


def of_plan(rows, loaded):
    """Rows of the trials that a sweep plans."""
    return rows[rows["trial_id"].isin(planned(loaded))]


def times_but(results, *trial_ids) -> dict[str, int]:
    """When the rows were written, but for those of some trials."""
    paths = (path for path in results.glob("rows/*.parquet") if path.stem not in trial_ids)
    return {path.name: path.stat().st_mtime_ns for path in paths}


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def changed_since(results, before) -> set[str]:
    after = read_rows(results).set_index("trial_id")
    earlier = before.set_index("trial_id")
    return {t for t in after.index if t not in earlier.index or after["started_at"][t] != earlier["started_at"][t]}


def test_a_torn_row_is_named_and_its_trial_alone_runs_again(damaged, finished, cache_dir, comparable, injected):
    loaded, results, before = damaged
    torn = before[before["method"] == "scrub"]["trial_id"].iloc[0]
    kept = times_but(results, torn)
    cut(results / "rows" / f"{torn}.parquet")
    with pytest.warns(DamagedFile, match=f"cannot read rows/{torn}.parquet"):
        dispatcher = run_sweep(loaded, results, executor="local", cache_dir=cache_dir)
    assert dispatcher.graph.counts() == {"done": len(before)}
    assert changed_since(results, before) == {torn}
    came = "named, set aside; its trial alone runs again"
    injected("a row's file is cut off", came, results, comparable(finished[1]), finished=kept)


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b[:300] + bytes([b[300] ^ 1]) + b[301:]]
)
def test_damaged_outputs_are_named_by_a_report_and_made_again_by_a_run(damaged, cache_dir, comparable, damage):
    loaded, results, before = damaged
    undisturbed = comparable(results)
    hurt = before[before["method"] == "scrub"]["trial_id"].iloc[0]
    path = results / "outputs" / f"{hurt}.parquet"
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    with pytest.warns(DamagedFile, match=f"cannot read outputs/{hurt}.parquet .*`unlearn run` recreates it"):
        figures = folder_evidence(open_store(results)).done.set_index("trial_id")["loss_auc"]
    assert figures.isna()[hurt]
    assert figures.drop(hurt).notna().any()
    pd.testing.assert_frame_equal(comparable(results), undisturbed)  # a report takes no row back
    assert [spec.trial_id for spec in plan_sweep(loaded, results, cache_dir).pending] == [hurt]
    run_sweep(loaded, results, executor="local", cache_dir=cache_dir)
    assert changed_since(results, before) == {hurt}
    pd.testing.assert_frame_equal(comparable(results), undisturbed)
    assert path.read_bytes() == whole
    assert plan_sweep(loaded, results, cache_dir).pending == []


@pytest.mark.parametrize("folder", ["models", "logits"])
def test_an_unreadable_parent_is_made_again_and_no_child_fails(
    damaged, finished, cache_dir, folder, comparable, injected
):
    loaded, results, before = damaged
    original = before[before["stage"] == "train"]["trial_id"].iloc[0]
    children = set(before[before["method"] == "scrub"]["trial_id"])
    for child in children:
        (results / "rows" / f"{child}.parquet").unlink()
    kept = times_but(results, original)
    cut(results / folder / f"{original}.safetensors")
    with pytest.warns(DamagedFile) as warned:
        dispatcher = run_sweep(loaded, results, executor="local", cache_dir=cache_dir)
    assert any(f"cannot read {folder}/{original}.safetensors" in str(w.message) for w in warned)
    assert any(f"trial {original} runs again" in str(w.message) for w in warned)
    assert dispatcher.graph.counts() == {"done": len(before)}
    assert changed_since(results, before) == {original, *children}
    what = {"models": "an original's model cannot be read", "logits": "an original's outputs cannot be read"}[folder]
    came = "named, set aside and recreated before what depends on it"
    injected(what, came, results, comparable(finished[1]), finished=kept)


def test_a_training_whose_last_epoch_is_torn_starts_anew(
    small_sweep, finished, cache_dir, tmp_path, comparable, injected
):
    loaded = load_sweep(small_sweep, ["methods=[original]"])
    original = plan_sweep(loaded).grid.trials[0].trial_id
    (tmp_path / "r" / "checkpoints").mkdir(parents=True)
    (tmp_path / "r" / "checkpoints" / f"{original}.safetensors").write_bytes(b"torn")
    with pytest.warns(DamagedFile, match=f"cannot read checkpoints/{original}"):
        dispatcher = run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    undisturbed = of_plan(comparable(finished[1]), loaded)
    injected("a training's last epoch cannot be read", "named, set aside; it starts again", tmp_path / "r", undisturbed)
    assert dispatcher.graph.counts() == {"done": 2}
